// Parts with forms differ from reader to reader, so no stream has them. They are asked for again when what they depend on changes.
"use strict";

async function renew() {
  const answer = await fetch(location.href);
  if (!answer.ok) return;
  const page = new DOMParser().parseFromString(await answer.text(), "text/html");
  for (const part of document.querySelectorAll("[data-renew]")) {
    const fresh = page.getElementById(part.id);
    if (fresh) replace(part, fresh.innerHTML);
  }
}

function renewWith(id, tell) {
  const region = document.getElementById(id);
  if (!region) return;
  let before = tell(region);
  new MutationObserver(() => {
    const now = tell(region);
    if (now !== before) renew();
    before = now;
  }).observe(region, { childList: true, subtree: true });
}

renewWith("change", (region) => Boolean(region.querySelector("[data-under-way]")));
renewWith("state", (region) => region.querySelector(".state")?.textContent);
