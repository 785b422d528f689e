// What hands and keys do to the page. Space plays and pauses, R begins again, a file may be dropped anywhere.
import { $, quiet } from "./panel.js";
import * as service from "./service.js";

/** @param page the page's deeds: toggle, again, choose(kind), takeFile(file), tryNow, stop, greet, about, bvh, glb. */
export function listen(page) {
  const on = (id, event, action) => $(id).addEventListener(event, action);
  for (const input of document.querySelectorAll("input[name=source]")) input.addEventListener("change", () => page.choose(input.value));
  on("samples", "change", () => page.choose("sample"));
  on("file", "change", () => page.takeFile($("file").files[0]));
  on("start", "click", page.toggle);
  on("play", "click", page.toggle);
  on("video", "click", page.toggle);
  on("reset", "click", page.again);
  on("bvh", "click", page.bvh);
  on("glb", "click", page.glb);
  on("banner-close", "click", quiet);
  on("banner-now", "click", page.tryNow);
  on("canvas", "pointerdown", () => $("hint").classList.add("gone"));
  on("model", "click", page.about);
  on("about-close", "click", () => $("about").close());
  on("token-later", "click", () => $("token-dialog").close());
  on("token-forget", "click", () => {
    service.token.forget();
    location.reload();
  });
  on("token-form", "submit", (event) => {
    event.preventDefault();
    service.token.set($("token").value.trim());
    $("token").value = "";
    $("token-dialog").close();
    page.greet();
  });

  addEventListener("dragover", (event) => {
    event.preventDefault();
    document.body.classList.add("dropping");
  });
  addEventListener("dragleave", (event) => event.relatedTarget ?? document.body.classList.remove("dropping"));
  addEventListener("drop", (event) => {
    event.preventDefault();
    document.body.classList.remove("dropping");
    page.takeFile(event.dataTransfer.files[0]);
  });
  addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || event.repeat || document.querySelector("dialog[open]")) return;
    const typing = event.target.matches("select, input:not([type=radio], [type=checkbox], [type=file])");
    // Where space has a meaning of its own, it keeps it.
    const pressing = event.target.matches("button, a, select, input:not([type=radio])");
    if (event.key.toLowerCase() === "r" && !typing) page.again();
    else if (event.key === " " && !pressing) {
      event.preventDefault();
      page.toggle();
    }
  });
  addEventListener("online", page.tryNow);
  document.addEventListener("visibilitychange", () => document.hidden || page.tryNow());
  addEventListener("pagehide", page.stop);
}
