// Adds a copy button to each code block. Browsers offer the clipboard only over HTTPS and on localhost.
for (const code of navigator.clipboard ? document.querySelectorAll("main pre") : []) {
  const button = document.createElement("button");
  button.type = "button";
  button.textContent = "Copy";
  // Screen readers announce the result.
  button.ariaLive = "polite";
  button.addEventListener("click", async () => {
    const copied = navigator.clipboard.writeText(code.textContent.trimEnd());
    button.textContent = await copied.then(
      () => "Copied",
      () => "Not copied",
    );
    setTimeout(() => (button.textContent = "Copy"), 2000);
  });
  const block = document.createElement("div");
  block.className = "code";
  code.replaceWith(block);
  block.append(button, code);
}
