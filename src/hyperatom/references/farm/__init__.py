"""Label farm: many labels at the same time, here or on a cluster, each of them paid for once.

`label_farm.LabelFarm` is what the rest of hyperatom sees: `submit(configuration)` returns a
`concurrent.futures.Future`. Behind it works one backend, a file each.
"""
