// Configurations and isosurfaces of densities in space, drawn by 3Dmol.js.
"use strict";

// Okabe and Ito's colours, one for the density of each species.
const SPACE_COLOURS = ["#0072b2", "#d55e00", "#009e73", "#e69f00", "#cc79a7", "#56b4e9"];

/** Shows `content` in `place`; `library` is where 3Dmol.js is fetched from if it is not there yet.
 *  Returns an object whose change(content) shows another one from the same point of view. */
function hyperatomSpace(place, content, library) {
  const node = (tag, className, text) => {
    const made = document.createElement(tag);
    if (className) made.className = className;
    if (text !== undefined) made.textContent = text;
    return made;
  };
  const box = node("div", "space");
  const bar = node("div", "space-bar");
  const stage = node("div", "space-stage");
  const caption = node("p", "soft");
  stage.setAttribute("role", "img");
  box.append(bar, stage, caption);
  place.replaceChildren(box);

  // A handful of atoms is hard to recognise without those around them.
  const few = parseInt(content.configurations[0].xyz, 10) < 30 && !content.densities.length;
  const wanted = { which: 0, atoms: true, cell: true, around: few, densities: new Set(content.densities.keys()) };
  let viewer = null;
  let surfaces = [];
  let seen = "";

  const tick = (name, checked, colour, act) => {
    const label = node("label");
    const input = node("input");
    input.type = "checkbox";
    input.checked = checked;
    input.addEventListener("change", () => { act(input.checked); draw(); });
    label.append(input);
    if (colour) {
      const patch = node("i");
      patch.style.background = colour;
      label.append(patch);
    }
    label.append(name);
    return label;
  };
  const press = (name, title, act) => {
    const button = node("button", "", name);
    button.type = "button";
    button.title = title;
    button.addEventListener("click", act);
    return button;
  };

  function controls() {
    const sign = JSON.stringify([content.configurations.map((one) => one.name),
      content.densities.map((one) => one.species)]);
    if (sign === seen) return;
    seen = sign;
    bar.replaceChildren();
    if (content.configurations.length > 1) {
      const choice = node("select");
      choice.title = "Configuration";
      content.configurations.forEach((one, index) => {
        const option = node("option", "", one.name);
        option.value = String(index);
        choice.append(option);
      });
      choice.addEventListener("change", () => { wanted.which = Number(choice.value); draw(); });
      bar.append(choice);
    }
    if (content.densities.length) {
      bar.append(tick("atoms", wanted.atoms, "", (yes) => { wanted.atoms = yes; }));
    }
    if (vectors()) {
      bar.append(tick("cell", wanted.cell, "", (yes) => { wanted.cell = yes; }));
      bar.append(tick("neighbouring cells", wanted.around, "", (yes) => { wanted.around = yes; }));
    }
    content.densities.forEach((one, index) => {
      bar.append(tick(`density of ${one.species}`, wanted.densities.has(index),
        SPACE_COLOURS[index % SPACE_COLOURS.length],
        (yes) => { wanted.densities[yes ? "add" : "delete"](index); }));
    });
    const views = node("span", "space-views");
    for (const [axis, name] of ["a", "b", "c"].entries()) {
      views.append(press(name, `Look along ${name}`, () => along(axis)));
    }
    views.append(press("reset", "The first view again", () => along(null)));
    bar.append(views);
  }

  function vectors() {
    const found = /Lattice="([^"]+)"/.exec(chosen().xyz);
    if (!found) return null;
    const x = found[1].split(/\s+/).map(Number);
    return [x.slice(0, 3), x.slice(3, 6), x.slice(6, 9)];
  }

  const chosen = () => content.configurations[Math.min(wanted.which,
    content.configurations.length - 1)];

  // The rotation that brings lattice vector `axis` to the reader, as a quaternion.
  function along(axis) {
    const cell = vectors();
    viewer.zoomTo();
    const view = viewer.getView();
    let turn = [-0.16, 0.28, 0.05, 0.94];
    if (axis !== null && cell) {
      const length = Math.hypot(...cell[axis]);
      const [x, y, z] = cell[axis].map((part) => part / length);
      turn = z > -0.999 ? [y, -x, 0, 1 + z] : [1, 0, 0, 0];
    }
    const size = Math.hypot(...turn);
    viewer.setView([...view.slice(0, 4), ...turn.map((part) => part / size)]);
    viewer.zoom(1.15);
    viewer.render();
  }

  // The page's soft colour as it is now, light or dark.
  function shade() {
    const parts = getComputedStyle(caption).color.match(/[\d.]+/g).slice(0, 3);
    return `#${parts.map((part) => Math.round(part).toString(16).padStart(2, "0")).join("")}`;
  }

  function draw() {
    if (!viewer) return;
    const soft = shade();
    viewer.removeAllModels();
    viewer.removeAllShapes();
    viewer.removeAllLabels();
    const model = viewer.addModel(chosen().xyz, "xyz");
    const faint = wanted.densities.size && content.densities.length;
    model.setStyle({}, wanted.atoms || !content.densities.length
      ? { sphere: { scale: faint ? 0.06 : 0.27 }, stick: { radius: faint ? 0.05 : 0.11 } } : {});
    if (wanted.cell && vectors()) {
      const arrow = { color: soft, radius: 0.05, midpos: -0.4 };
      const words = { fontColor: soft, showBackground: false, inFront: true, fontSize: 15 };
      viewer.addUnitCell(model, {
        box: { color: soft }, astyle: arrow, bstyle: { ...arrow }, cstyle: { ...arrow },
        alabel: "a", blabel: "b", clabel: "c",
        alabelstyle: words, blabelstyle: { ...words }, clabelstyle: { ...words },
      });
    }
    if (wanted.around && vectors()) viewer.replicateUnitCell(2, 2, 2, model, true);
    content.densities.forEach((one, index) => {
      if (!wanted.densities.has(index)) return;
      surfaces[index] ||= new $3Dmol.VolumeData(one.cube, "cube");
      viewer.addIsosurface(surfaces[index], {
        isoval: one.level, color: SPACE_COLOURS[index % SPACE_COLOURS.length], opacity: 0.85,
        smoothness: 3,
      });
    });
    viewer.render();
    stage.setAttribute("aria-label", `${chosen().name}: atoms in their cell`);
    caption.textContent = content.caption;
    place.dataset.drawn = String(Number(place.dataset.drawn || 0) + 1);
  }

  function start() {
    try {
      viewer = $3Dmol.createViewer(stage, { backgroundAlpha: 0, antialias: true });
      if (!viewer) throw new Error("no WebGL");
    } catch {
      stage.replaceChildren(node("p", "soft", "This browser cannot draw in space (no WebGL)."));
      stage.classList.add("space-none");
      return;
    }
    // Pages are scrolled with the wheel; zooming wants a key beside it.
    stage.addEventListener("wheel", (event) => {
      if (!event.ctrlKey && !event.shiftKey) event.stopImmediatePropagation();
    }, { capture: true });
    draw();
    along(null);
    window.addEventListener("beforeprint", keep);
    window.addEventListener("afterprint", () => stage.querySelector("img")?.remove());
  }

  // Paper gets the picture as it stands.
  function keep() {
    const picture = node("img");
    picture.src = viewer.pngURI();
    picture.alt = stage.getAttribute("aria-label");
    stage.append(picture);
  }

  controls();
  if (typeof $3Dmol !== "undefined") start();
  else {
    const script = node("script");
    script.src = library;
    script.addEventListener("load", start);
    document.head.append(script);
  }
  return {
    change(next) {
      content = next;
      surfaces = [];
      controls();
      draw();
    },
  };
}
