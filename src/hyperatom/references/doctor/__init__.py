"""The doctor: what is wrong with an engine or an input, found before money is spent."""
