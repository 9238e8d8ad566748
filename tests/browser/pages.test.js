// Tests the documentation pages in a real browser: every named example returns the documented
// response, an issued token is filled in for the refresh, the pages load no resource of another
// origin, and the pages are accessible. A failed test saves a screenshot to failures/.

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

test("every named example returns the documented response", async (t) => {
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
          assert.deepEqual(sent, value, `the page did not send the example ${name}`);
        }
      }),
    );
  }
});

test("the refresh form contains the issued token", async (t) => {
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
  await t.test("form opened after the login", (t) =>
    carry(t, async (obtain, refresh) => {
      await obtain.open();
      const issued = await obtain.execute();
      await refresh.open();
      return issued;
    }),
  );
  await t.test("form opened before the login", (t) =>
    carry(t, async (obtain, refresh) => {
      await refresh.open();
      await obtain.open();
      return obtain.execute();
    }),
  );
});

for (const colorScheme of ["light", "dark"]) {
  test(`the pages are accessible in ${colorScheme} mode`, async (t) => {
    await t.test(`Swagger UI, ${colorScheme}`, (t) =>
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
    await t.test(`contract, ${colorScheme}`, (t) =>
      visit(t, `${service.origin}/contract/`, examine, { colorScheme }),
    );
  });
}

test("below the path prefix of a reverse proxy, all requests have the prefix", async (t) => {
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
  await visit(t, `${proxy.url}/contract`, async (page) => {
    assert.equal(page.url(), `${proxy.url}/contract/`);
    await followLinks(page);
  });
  assert.deepEqual(proxy.astray, []);
});

test("the page sends requests to its own address instead of the public URL", async (t) => {
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

test("without a public URL, the page lists only the address of the page", async (t) => {
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
 * Opens `url` in a new browser context, and runs `journey`. Also fails if the page sends a request
 * to another origin, violates its content security policy, throws, or logs an error or a warning to
 * the console. Console errors about the responses in `refusals` are expected.
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
    // Events arrive in order. After this response, all earlier events have arrived.
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

/** Executes the form, checks the response against `promise`, and returns the request body. */
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
    // The token of the example has another account, time and secret.
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

/** Returns the response example with the name of a request example. */
function promiseOf({ responses }, name, { token = "" }) {
  // The token of the example expired in 2018, and has another secret than the service.
  const kept = claimsOf(token)?.exp < Date.now() / 1000 ? "invalid_token" : name;
  for (const [status, response] of Object.entries(responses)) {
    const answer = json(response).examples[kept];
    if (answer) return { status: Number(status), body: answer.value };
  }
  throw new Error(`no response example has the name of the request example ${name}`);
}

function claimsOf(token) {
  const [, payload] = token.split(".");
  return payload && JSON.parse(Buffer.from(payload, "base64url"));
}

function json({ content }) {
  return content["application/json"];
}

/** Checks that axe-core finds no serious or critical violation, also in the restyled Swagger UI. */
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

/** Checks every link to the origin of the page. */
async function followLinks(page) {
  const { origin } = new URL(page.url());
  const links = page.locator("a[href]");
  const urls = await links.evaluateAll((links) => links.map(({ href }) => href));
  const own = urls.filter((url) => new URL(url).origin === origin);
  assert.notEqual(own.length, 0);
  for (const url of own) assert.equal((await page.request.get(url)).status(), 200, url);
}
