// The rings around the points that are chosen and pointed at, in whichever drawing there is.
paretune.rings = (() => {
  const { state, places, drawing } = paretune;
  const sizes = { pointed: 17, chosen: 14 };
  const rings = Object.entries(sizes).map(([what, r]) => [what, drawing("circle", { class: `ring ${what}`, r })]);

  return {
    circles: rings.map(([, circle]) => circle),
    // Put them where `pixel` says that a place is.
    move(pixel) {
      rings.forEach(([what, circle]) => {
        const place = state[what] && places.get(String(state[what]));
        const [x, y] = place ? pixel(place) : [0, 0];
        circle.setAttribute("visibility", place ? "visible" : "hidden");
        circle.setAttribute("cx", x);
        circle.setAttribute("cy", y);
      });
    },
  };
})();
