// Starts a browser that can connect only to this machine, and operates Swagger UI like a user.

import { chromium } from "playwright-core";

export function launch() {
  return chromium.launch({
    executablePath: "/usr/bin/chromium",
    args: [
      "--headless",
      "--no-sandbox",
      "--disable-gpu",
      "--disable-quic",
      "--no-first-run",
      "--disable-background-networking",
      "--disable-component-update",
      "--disable-sync",
      "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",
    ],
  });
}

/** One operation on the page at `/docs/`. */
export class Operation {
  constructor(page, { method, path }) {
    const heading = page.locator(`[data-path="${path}"]`);
    this.page = page;
    this.block = page.locator(`.opblock-${method}`, { has: heading });
    this.body = this.block.locator(".body-param__text");
  }

  /** Opens the operation, and clicks "Try it out". */
  async open() {
    await this.block.locator(".opblock-summary-control").click();
    await this.block.getByRole("button", { name: "Try it out" }).click();
    await this.body.waitFor();
  }

  /** The menu of the named request examples. */
  get examples() {
    return this.block.locator(".opblock-section-request-body .examples-select-element");
  }

  /** The note about the token in the form of a refresh. */
  get note() {
    return this.block.locator(".token-note");
  }

  /** Returns the body that the form sends. */
  async requestBody() {
    return JSON.parse(await this.body.inputValue());
  }

  /** Returns the response, and the status and body that the page shows. */
  async execute() {
    const [response] = await Promise.all([
      this.page.waitForResponse((response) => response.request().resourceType() === "fetch"),
      this.block.getByRole("button", { name: "Execute" }).click(),
    ]);
    // The page may still show an earlier response. The request ID identifies the new response.
    const id = response.headers()["x-request-id"];
    const shown = this.block.locator(".live-responses-table .response", {
      hasText: `x-request-id: ${id}`,
    });
    const status = Number(await shown.locator(".response-col_status").innerText());
    const body = JSON.parse(await shown.locator(".highlight-code code").innerText());
    return { response, status, body };
  }
}

/** Waits until all animations of the page have finished. */
export async function settled(page) {
  await page.evaluate(() =>
    Promise.allSettled(document.getAnimations().map(({ finished }) => finished)),
  );
}

/**
 * Returns a description of each text or control that is over another one, or is not between the
 * left and the right edge of the screen.
 */
export function layoutFaults(page) {
  return page.evaluate(() => {
    const nameOf = (node) => {
      const element = node.nodeType === Node.TEXT_NODE ? node.parentElement : node;
      const text = (node.textContent || element.ariaLabel || "").trim().slice(0, 40);
      return `<${element.localName} class="${element.className}"> ${text}`;
    };
    const boxes = [];
    const add = (node, rects) => {
      for (const rect of rects) if (rect.width > 1 && rect.height > 1) boxes.push({ node, rect });
    };
    const controls = document.querySelectorAll("a, button, input, select, textarea, pre");
    for (const control of controls) {
      if (control.checkVisibility({ visibilityProperty: true })) {
        add(control, control.getClientRects());
      }
    }
    const texts = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
    for (let text = texts.nextNode(); text; text = texts.nextNode()) {
      const isVisible = text.parentElement.checkVisibility({ visibilityProperty: true });
      // The browser draws the text of these controls inside of the control.
      if (!isVisible || text.parentElement.closest("select, textarea") || !text.data.trim()) continue;
      const range = document.createRange();
      range.selectNodeContents(text);
      add(text, range.getClientRects());
    }
    const faults = [];
    if (document.documentElement.scrollWidth > innerWidth) faults.push("the page scrolls sideways");
    boxes.forEach(({ node, rect }, at) => {
      if (rect.left < 0 || rect.right > innerWidth) faults.push(`${nameOf(node)} sticks out`);
      for (const other of boxes.slice(at + 1)) {
        if (node.contains(other.node) || other.node.contains(node)) continue;
        const width = Math.min(rect.right, other.rect.right) - Math.max(rect.left, other.rect.left);
        const height = Math.min(rect.bottom, other.rect.bottom) - Math.max(rect.top, other.rect.top);
        // The boxes of adjacent lines of text overlap by a few pixels, but the letters do not.
        if (width > 2 && height > 6) faults.push(`${nameOf(node)} is over ${nameOf(other.node)}`);
      }
    });
    return faults;
  });
}

/** Returns the words, outside of code blocks, that start on one line and end on another. */
export function brokenWords(page) {
  return page.evaluate(() => {
    const broken = [];
    const texts = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
    for (let text = texts.nextNode(); text; text = texts.nextNode()) {
      if (text.parentElement.closest("pre")) continue;
      for (const { 0: word, index } of text.data.matchAll(/[\p{L}\p{N}_]+/gu)) {
        const range = document.createRange();
        range.setStart(text, index);
        range.setEnd(text, index + word.length);
        const lines = new Set([...range.getClientRects()].map(({ top }) => top));
        if (lines.size > 1) broken.push(word);
      }
    }
    return broken;
  });
}
