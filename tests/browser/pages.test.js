// The pages about the contract in a real browser: every named example can be tried and gives what
// it promises, an issued token is carried on, nothing is loaded from elsewhere, and a screen reader
// finds its way. A journey that fails leaves a picture of the page in failures/.

import assert from "node:assert/strict";
import { mkdir, rm } from "node:fs/promises";
import { after, before, test } from "node:test";
import { fileURLToPath } from "node:url";
import axe from "axe-core";

import { launch, Operation, settled } from "./browser.js";
import { operationsOf, serve, serveBelowPrefix } from "./service.js";

const FAILURES = fileURLToPath(new URL("failures", import.meta.url));

let browser;
let service;
let operations;

before(async () => {
  await rm(FAILURES, { recursive: true, force: true });
  browser = await launch();
  service = await serve();
  operations = await operationsOf(service);
});

after(async () => {
  await browser?.close();
  await service?.stop();
});

test("every named example can be tried, and gives what it promises", async (t) => {
  for (const [id, operation] of Object.entries(operations)) {
    const examples = Object.entries(json(operation.requestBody).examples);
    assert.notEqual(examples.length, 0, `${id} has no examples`);
    await t.test(id, (t) =>
      visit(t, `${service.origin}/docs/`, async (page, refusals) => {
        const form = new Operation(page, operation);
        await form.open();
        for (const [name, { value }] of examples) {
          await form.examples.selectOption({ value: name });
          const promise = promiseOf(operation, name, value);
          const sent = await executeAsPromised(form, operation, promise, refusals);
          assert.deepEqual(sent, value, `${name} was not what was sent`);
        }
      }),
    );
  }
});

test("an issued token stands ready in refresh", async (t) => {
  const { obtainToken, refreshToken } = operations;
  const [{ value: token }] = Object.values(json(refreshToken.responses[200]).examples);
  const carry = (t, steps) =>
    visit(t, `${service.origin}/docs/`, async (page, refusals) => {
      const obtain = new Operation(page, obtainToken);
      const refresh = new Operation(page, refreshToken);
      const { body } = await steps(obtain, refresh);
      const promise = { status: 200, body: token };
      const sent = await executeAsPromised(refresh, refreshToken, promise, refusals);
      assert.deepEqual(sent, { token: body.token });
    });
  await t.test("opened after it was issued", (t) =>
    carry(t, async (obtain, refresh) => {
      await obtain.open();
      const issued = await obtain.execute();
      await refresh.open();
      return issued;
    }),
  );
  await t.test("opened before it was issued", (t) =>
    carry(t, async (obtain, refresh) => {
      await refresh.open();
      await obtain.open();
      return obtain.execute();
    }),
  );
});

for (const colorScheme of ["light", "dark"]) {
  test(`every reader finds the way, with ${colorScheme} colours`, async (t) => {
    await t.test(`on the page to try it, ${colorScheme}`, (t) =>
      visit(
        t,
        `${service.origin}/docs/`,
        async (page) => {
          await page.locator(".opblock").first().waitFor();
          await examine(page);
          for (const operation of Object.values(operations)) {
            await new Operation(page, operation).open();
          }
          await new Operation(page, operations.obtainToken).execute();
          await examine(page);
          for (const tab of await page.getByRole("tab", { name: "Schema" }).all()) {
            await tab.click();
          }
          await page.getByRole("button", { name: "Schemas" }).click();
          await examine(page);
        },
        { colorScheme },
      ),
    );
    await t.test(`on the page to read it, ${colorScheme}`, (t) =>
      visit(t, `${service.origin}/redoc/`, examine, { colorScheme }),
    );
  });
}

test("below a path prefix of a reverse proxy, all stays there", async (t) => {
  const proxy = await serveBelowPrefix();
  t.after(() => proxy.stop());
  await visit(t, `${proxy.url}/`, async (page) => {
    assert.equal(page.url(), `${proxy.url}/docs/`);
    const obtain = new Operation(page, operations.obtainToken);
    await obtain.open();
    const { response, status } = await obtain.execute();
    assert.equal(response.url(), proxy.url + operations.obtainToken.path);
    assert.equal(status, 200);
    await followLinks(page);
  });
  await visit(t, `${proxy.url}/redoc`, async (page) => {
    assert.equal(page.url(), `${proxy.url}/redoc/`);
    await followLinks(page);
  });
  assert.deepEqual(proxy.astray, []);
});

test("at another address than the public URL, requests go to the address of the page", async (t) => {
  const publicUrl = "https://api.example.com/auth";
  const service = await serve({ publicUrl });
  t.after(() => service.stop());
  await visit(t, `${service.origin}/docs/`, async (page) => {
    const servers = page.locator("#servers option");
    const urls = await servers.evaluateAll((options) => options.map(({ value }) => value));
    assert.deepEqual(urls, [service.origin, publicUrl]);
    const obtain = new Operation(page, operations.obtainToken);
    await obtain.open();
    const { response, status } = await obtain.execute();
    assert.equal(response.url(), service.origin + operations.obtainToken.path);
    assert.equal(status, 200);
  });
});

test("without a public URL, the page lists its own address only, at every address", async (t) => {
  const proxy = await serveBelowPrefix({});
  t.after(() => proxy.stop());
  for (const address of [proxy.service.origin, proxy.url]) {
    await visit(t, `${address}/docs/`, async (page) => {
      const obtain = new Operation(page, operations.obtainToken);
      await obtain.open();
      const servers = page.locator("#servers option");
      const urls = await servers.evaluateAll((options) => options.map(({ value }) => value));
      assert.deepEqual(urls, [address]);
      const { response, status } = await obtain.execute();
      assert.equal(response.url(), address + operations.obtainToken.path);
      assert.equal(status, 200);
    });
  }
  assert.deepEqual(proxy.astray, []);
});

/**
 * Opens `url` in a browser without a past, and does `journey` there. Fails as well if the page
 * loads anything from another origin, breaks its policy, throws, or complains on the console;
 * it may complain of a refused request that the journey adds to `refusals`, as meant.
 */
async function visit(t, url, journey, { colorScheme } = {}) {
  const viewport = { width: 1280, height: 900 };
  const context = await browser.newContext({ viewport, colorScheme });
  const page = await context.newPage();
  const faults = [];
  const refusals = [];
  page.on("pageerror", (error) => faults.push(`thrown: ${error}`));
  page.on("request", (request) => {
    const { origin, protocol } = new URL(request.url());
    if (origin !== new URL(url).origin && protocol !== "data:") {
      faults.push(`request to another origin: ${request.url()}`);
    }
  });
  page.on("console", (message) => {
    const text = `${message.text()} ${message.location().url}`;
    if (["error", "warning"].includes(message.type())) faults.push(text);
  });
  await page.exposeFunction("reportViolation", (violation) => faults.push(violation));
  await page.addInitScript(() =>
    document.addEventListener("securitypolicyviolation", ({ violatedDirective, blockedURI }) =>
      reportViolation(`against the policy: ${violatedDirective} ${blockedURI}`),
    ),
  );
  try {
    await page.goto(url);
    await journey(page, refusals);
    // The browser tells in order: what comes before this answer has been told.
    await page.evaluate(() => null);
    const meant = refusals.map(
      (refused) =>
        "Failed to load resource: the server responded with a status of " +
        `${refused.status()} (${refused.statusText()}) ${refused.url()}`,
    );
    assert.deepEqual(faults.filter((fault) => !meant.includes(fault)), []);
  } catch (error) {
    await mkdir(FAILURES, { recursive: true });
    const path = `${FAILURES}/${t.name.replaceAll(/\W+/g, "-")}.png`;
    await page.screenshot({ path, fullPage: true });
    throw error;
  } finally {
    await context.close();
  }
}

/** Executes what stands in the form; returns what was sent. */
async function executeAsPromised(form, operation, promise, refusals) {
  const start = Math.floor(Date.now() / 1000);
  const { response, status, body } = await form.execute();
  if (promise.status >= 400) refusals.push(response);

  const request = response.request();
  const url = new URL(request.url());
  assert.equal(url.host, new URL(service.origin).host);
  assert.equal(url.pathname, operation.path);
  assert.equal(request.method(), operation.method.toUpperCase());

  assert.equal(status, promise.status);
  assert.equal(response.status(), promise.status);
  if (promise.status === 200) {
    // The documented token has another account, time and secret.
    assert.deepEqual(body, { ...promise.body, token: body.token });
    const { exp, email } = claimsOf(body.token);
    const { documented } = json(operations.obtainToken.requestBody).examples;
    assert.equal(email, documented.value.email);
    assert.ok(exp - body.expires_in >= start, "the token is not fresh");
  } else {
    assert.deepEqual(body, promise.body);
  }
  return request.postDataJSON();
}

/** What the request example `name` promises: the answer example of the same name. */
function promiseOf({ responses }, name, { token = "" }) {
  // The contract's own token was good in 2018, and its secret is not the service's.
  const kept = claimsOf(token)?.exp < Date.now() / 1000 ? "invalid_token" : name;
  for (const [status, response] of Object.entries(responses)) {
    const answer = json(response).examples[kept];
    if (answer) return { status: Number(status), body: answer.value };
  }
  throw new Error(`the example ${name} promises nothing`);
}

function claimsOf(token) {
  const [, payload] = token.split(".");
  return payload && JSON.parse(Buffer.from(payload, "base64url"));
}

function json({ content }) {
  return content["application/json"];
}

/** axe-core finds nothing serious or critical; with our style, not in Swagger UI itself either. */
async function examine(page) {
  await settled(page);
  await page.evaluate(axe.source);
  const { violations } = await page.evaluate(() => axe.run({ resultTypes: ["violations"] }));
  const found = violations.flatMap(({ id, nodes }) =>
    nodes
      .filter(({ impact }) => ["serious", "critical"].includes(impact))
      .map(({ impact, html, failureSummary }) => `${impact} ${id}: ${html} ${failureSummary}`),
  );
  assert.deepEqual(found, []);
}

/** Follows every link to the page's own origin. */
async function followLinks(page) {
  const { origin } = new URL(page.url());
  const links = page.locator("a[href]");
  const urls = await links.evaluateAll((links) => links.map(({ href }) => href));
  const own = urls.filter((url) => new URL(url).origin === origin);
  assert.notEqual(own.length, 0);
  for (const url of own) assert.equal((await page.request.get(url)).status(), 200, url);
}
