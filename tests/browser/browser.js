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
