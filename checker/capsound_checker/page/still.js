{
  const page = capsoundPage(document.getElementById("page"));
  const read = () => page.set(JSON.parse(document.getElementById("shown").textContent), ...page.asked());
  window.addEventListener("hashchange", read);
  read();
}
