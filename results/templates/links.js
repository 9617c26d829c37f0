{
  const open = () => {
    let place = null;
    try {
      place = document.getElementById(decodeURIComponent(location.hash.slice(1)));
    } catch {
      return; // not a name of ours
    }
    for (let part = place; part; part = part.parentElement) if (part.tagName === "DETAILS") part.open = true;
    place?.scrollIntoView();
  };
  addEventListener("hashchange", open);
  if (location.hash) open();
}
