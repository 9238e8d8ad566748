// Takes the screenshot of Swagger UI for the README: the response with a new token.

import { launch, Operation, settled } from "./browser.js";
import { operationsOf, serve } from "./service.js";

const [path] = process.argv.slice(2);
const width = 1180;
const service = await serve();
const browser = await launch();
try {
  const { obtainToken } = await operationsOf(service);
  const page = await browser.newPage({ viewport: { width, height: 900 } });
  await page.goto(`${service.origin}/docs/`);
  const obtain = new Operation(page, obtainToken);
  await obtain.open();
  await obtain.execute();
  // The screenshot ends below the response, and omits the documented responses.
  const bottom = await obtain.block
    .locator(".live-responses-table")
    .evaluate((answer) => Math.ceil(answer.getBoundingClientRect().bottom + scrollY));
  await page.mouse.move(0, 0);
  await settled(page);
  await page.screenshot({ path, fullPage: true, clip: { x: 0, y: 0, width, height: bottom } });
} finally {
  await browser.close();
  await service.stop();
}
