// Moving over a value chart shows the camera frames of that step. Everything else works without this script.
for (const trace of document.querySelectorAll(".trace")) {
  const film = trace.querySelector(".film"), chart = trace.querySelector("svg.value");
  if (!film || !chart) continue;
  const { steps, cameras } = JSON.parse(film.textContent);
  const lens = document.createElement("div");
  lens.className = "lens";
  const pictures = cameras.map(() => lens.appendChild(new Image()));
  const caption = lens.appendChild(document.createElement("div"));
  trace.appendChild(lens);
  chart.addEventListener("mouseleave", () => { lens.style.display = "none"; });
  chart.addEventListener("mousemove", (event) => {
    const box = chart.getBoundingClientRect(), home = trace.getBoundingClientRect();
    const { left, right, steps: last } = chart.dataset;
    const across = (event.clientX - box.left) / box.width;
    const step = Math.max(0, (across - left) / (right - left)) * last;
    const nearest = steps.reduce((best, value, index) => Math.abs(value - step) < Math.abs(steps[best] - step) ? index : best, 0);
    cameras.forEach((frames, index) => { pictures[index].src = frames[nearest]; });
    caption.textContent = `step ${steps[nearest]}`;
    lens.style.display = "block";
    const room = home.width - lens.offsetWidth;
    lens.style.left = `${Math.min(room, Math.max(0, event.clientX - home.left - lens.offsetWidth / 2))}px`;
    lens.style.top = `${box.bottom - home.top + 6}px`;
  });
}
