// Tests the documentation pages in a real browser: every named example returns the documented
// response, an issued token is filled in for the refresh, the pages load no resource of another
// origin, and the pages are accessible and readable on desktops and phones, in both themes. A
// failed test saves a screenshot to failures/.

import assert from "node:assert/strict";
import { mkdir, rm } from "node:fs/promises";
import { after, before, test } from "node:test";
import { fileURLToPath } from "node:url";
import axe from "axe-core";

import { brokenWords, launch, layoutFaults, Operation, settled } from "./browser.js";
import { operationsOf, serve, serveBelowPrefix } from "./service.js";

const DESKTOP = 1280;
const PHONE = 390;
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
    // The page replaces the example of the refresh by the token in hand.
    const examples = Object.entries(json(operation.requestBody).examples).filter(
      ([, { value }]) => !isExpired(value.token),
    );
    assert.notEqual(examples.length, 0, `${id} has no examples`);
    await t.test(id, (t) =>
      visit(t, `${service.origin}/docs/`, async (page, refusals) => {
        const form = new Operation(page, operation);
        await form.open();
        for (const [name, { value }] of examples) {
          await form.examples.selectOption({ value: name });
          const promise = promiseOf(operation, name);
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

test("without a token, the refresh form asks for a login", async (t) => {
  await visit(t, `${service.origin}/docs/`, async (page) => {
    const refresh = new Operation(page, operations.refreshToken);
    const [documented] = Object.values(json(operations.refreshToken.requestBody).examples);
    assert.ok(isExpired(documented.value.token));
    await refresh.open();
    assert.deepEqual(await refresh.requestBody(), { token: "obtain a token first" });
    assert.match(await refresh.note.innerText(), /^Obtain a token first\./);
    const form = await refresh.block.locator(".opblock-section-request-body").innerText();
    assert.ok(!form.includes("2018"), form);

    // Another body needs no note.
    await refresh.examples.selectOption({ value: "invalid_token" });
    assert.equal(await refresh.note.innerText(), "");
  });
});

test("the refresh form notes the token of the login, and keeps it for the session of the tab", async (t) => {
  await visit(t, `${service.origin}/docs/`, async (page) => {
    const obtain = new Operation(page, operations.obtainToken);
    const refresh = new Operation(page, operations.refreshToken);
    const assertCarried = async (token) => {
      assert.deepEqual(await refresh.requestBody(), { token });
      assert.equal(
        await refresh.note.innerText(),
        "The token of the last login or refresh is filled in.",
      );
    };
    await obtain.open();
    const { token } = (await obtain.execute()).body;
    await refresh.open();
    await assertCarried(token);
    await refresh.examples.selectOption({ value: "invalid_token" });
    assert.equal(await refresh.note.innerText(), "");
    await refresh.examples.selectOption({ value: "documented" });
    await assertCarried(token);
    await refresh.body.fill("{}");
    await refresh.block.getByRole("button", { name: "Reset" }).click();
    await assertCarried(token);

    // Without the fragment, which opens the operation.
    const url = `${service.origin}/docs/`;
    await page.goto(url);
    await refresh.open();
    await assertCarried(token);
    // A refresh in the second of the login returns the same token.
    await page.waitForTimeout(1000);
    const refreshed = (await refresh.execute()).body.token;
    assert.notEqual(refreshed, token);
    await assertCarried(refreshed);

    const otherTab = await page.context().newPage();
    await otherTab.goto(url);
    const refreshInOtherTab = new Operation(otherTab, operations.refreshToken);
    await refreshInOtherTab.open();
    assert.match(await refreshInOtherTab.note.innerText(), /^Obtain a token first\./);
  });
});

test("an expired token of the session is not filled in", async (t) => {
  const [{ value: expired }] = Object.values(json(operations.refreshToken.requestBody).examples);
  await visit(t, `${service.origin}/docs/`, async (page) => {
    await page.evaluate(({ token }) => sessionStorage.setItem("signet.token /", token), expired);
    await page.reload();
    const refresh = new Operation(page, operations.refreshToken);
    await refresh.open();
    assert.match(await refresh.note.innerText(), /^Obtain a token first\./);
  });
});

test("the page shows the claims of an issued token below the response", async (t) => {
  await visit(t, `${service.origin}/docs/`, async (page, refusals) => {
    const obtain = new Operation(page, operations.obtainToken);
    const claims = obtain.block.locator(".claims");
    await obtain.open();
    const claimed = claimsOf((await obtain.execute()).body.token);
    const rows = await claims.getByRole("row").allInnerTexts();
    const time = (seconds) =>
      `${seconds} (${new Date(seconds * 1000).toISOString().slice(0, 19).replace("T", " ")} UTC)`;
    assert.deepEqual(
      rows.map((row) => row.split(/\s+/u).join(" ").trim()),
      [
        `user_id ${claimed.user_id}`,
        `username "${claimed.username}"`,
        `exp ${time(claimed.exp)}`,
        `email "${claimed.email}"`,
        `orig_iat ${time(claimed.orig_iat)}`,
      ],
    );
    const below = (await claims.boundingBox()).y;
    const response = await obtain.block.locator(".live-responses-table").boundingBox();
    assert.ok(below >= response.y + response.height);

    await obtain.examples.selectOption({ value: "wrong_credentials" });
    refusals.push((await obtain.execute()).response);
    assert.equal(await claims.count(), 0);
  });
});

test("responses from 408 on are collapsed until a click", async (t) => {
  await visit(t, `${service.origin}/docs/`, async (page) => {
    for (const operation of Object.values(operations)) {
      const form = new Operation(page, operation);
      await form.open();
      const statuses = Object.keys(operation.responses);
      const open = form.block.locator(".response > .response-col_status");
      assert.deepEqual(await open.allInnerTexts(), ["200", "400"]);
      const collapsed = form.block.locator(".response-summary");
      const shown = await collapsed.locator(".response-col_status").allInnerTexts();
      assert.deepEqual(shown, statuses.slice(2));
      const toggle = form.block.getByRole("button", { name: "Too many attempts failed" });
      for (const expanded of [1, 0]) {
        await toggle.click();
        assert.equal(await toggle.getAttribute("aria-expanded"), String(expanded === 1));
        const example = form.block.getByText("Expected available in 90 seconds");
        assert.equal(await example.count(), expanded);
      }
    }
  });
});

test("the theme follows the system until the reader chooses, and is remembered", async (t) => {
  const colorScheme = "dark";
  const journey = async (page) => {
    const [light, dark] = ["rgb(255, 255, 255)", "rgb(28, 32, 34)"];
    const background = () => page.evaluate(() => getComputedStyle(document.body).backgroundColor);
    const toggle = (name) => page.getByRole("button", { name }).click();
    const inSwagger = () => page.locator("html.dark-mode").count();
    assert.deepEqual([await background(), await inSwagger()], [dark, 1]);
    await toggle("Light theme");
    assert.deepEqual([await background(), await inSwagger()], [light, 0]);
    await page.reload();
    assert.deepEqual([await background(), await inSwagger()], [light, 0]);
    await page.getByRole("link", { name: "Read the contract" }).click();
    assert.equal(await background(), light);
    await toggle("Dark theme");
    assert.equal(await background(), dark);
    await page.goBack();
    assert.deepEqual([await background(), await inSwagger()], [dark, 1]);

    // The theme of the system is no choice.
    await page.emulateMedia({ colorScheme: "light" });
    await page.locator("html.light-mode").waitFor();
    assert.deepEqual([await background(), await inSwagger()], [light, 0]);
  };
  await visit(t, `${service.origin}/docs/`, journey, { colorScheme });
});

test("the contract has a link to each heading", async (t) => {
  await visit(t, `${service.origin}/contract/`, async (page) => {
    const headings = page.locator("main :is(h1, h2, h3, h4, h5, h6)");
    const ids = await headings.evaluateAll((headings) => headings.map(({ id }) => `#${id}`));
    assert.equal(new Set(ids).size, ids.length);
    const links = page.getByRole("navigation", { name: "Contents" }).getByRole("link");
    const targets = await links.evaluateAll((links) => links.map((a) => a.getAttribute("href")));
    assert.deepEqual(targets, ids);

    // The navigation stays visible.
    await page.getByRole("link", { name: "Errors", exact: true }).click();
    assert.ok((await links.first().boundingBox()).y > 0);
    assert.ok(page.url().endsWith("#errors"));
  });
});

test("the contract lists each error once, and each claim", async (t) => {
  await visit(t, `${service.origin}/contract/`, async (page) => {
    const rows = (id) => page.locator(`#${id} ~ table`).first().locator("tbody tr");
    const expected = new Map();
    for (const { path, responses } of Object.values(operations)) {
      const name = path.split("/").at(-2).toUpperCase();
      for (const [status, response] of Object.entries(responses)) {
        if (status < 400) continue;
        for (const { value, summary } of Object.values(json(response).examples)) {
          for (const [field, messages] of Object.entries(value)) {
            for (const message of [messages].flat()) {
              const key = [status, field, message, summary].join("|");
              expected.set(key, [...(expected.get(key) ?? []), name]);
            }
          }
        }
      }
    }
    const listed = await rows("errors").evaluateAll((rows) =>
      rows.map(({ cells }) => [...cells].map(({ textContent }) => textContent)),
    );
    const keys = listed.map((cells) => cells.join("|"));
    const all = [...expected].map(([key, names]) => `${key}|${names.join(", ")}`);
    assert.deepEqual(keys.toSorted(), all.toSorted());
    const statuses = listed.map(([status]) => status);
    assert.deepEqual(statuses, statuses.toSorted());

    const schema = await (await fetch(`${service.origin}/openapi/claims.schema.json`)).json();
    const claims = await rows("claims").evaluateAll((rows) =>
      rows.map(({ cells }) => [cells[0].textContent, cells[2].textContent]),
    );
    const described = Object.entries(schema.properties);
    assert.deepEqual(claims, described.map(([name, { description }]) => [name, description]));
  });
});

test("the contract has copy buttons for its code", async (t) => {
  await visit(t, `${service.origin}/contract/`, async (page) => {
    await page.context().grantPermissions(["clipboard-read", "clipboard-write"]);
    const code = page.locator("main pre");
    const buttons = page.getByRole("button", { name: "Copy" });
    assert.equal(await buttons.count(), await code.count());
    await buttons.nth(1).click();
    await page.getByRole("button", { name: "Copied" }).waitFor();
    const copied = await page.evaluate(() => navigator.clipboard.readText());
    const { documented } = json(operations.obtainToken.requestBody).examples;
    assert.deepEqual(JSON.parse(copied), documented.value);
  });
});

test("the contract needs no script", async () => {
  for (const colorScheme of ["light", "dark"]) {
    const context = await browser.newContext({ javaScriptEnabled: false, colorScheme });
    try {
      const page = await context.newPage();
      await page.goto(`${service.origin}/contract/`);
      assert.equal(await page.getByRole("button").count(), 0);
      const background = await page
        .locator("body")
        .evaluate((body) => getComputedStyle(body).backgroundColor);
      assert.equal(background, colorScheme === "dark" ? "rgb(28, 32, 34)" : "rgb(255, 255, 255)");
      const errors = page.getByRole("heading", { name: "Errors", exact: true });
      await page.getByRole("link", { name: "Errors", exact: true }).click();
      assert.ok((await errors.boundingBox()).y < 100);
    } finally {
      await context.close();
    }
  }
});

for (const colorScheme of ["light", "dark"]) {
  for (const width of [DESKTOP, PHONE]) {
    const look = { colorScheme, width };
    test(`the pages are accessible in ${colorScheme} mode, ${width} pixels wide`, async (t) => {
      await t.test(`Swagger UI, ${colorScheme}, ${width}`, (t) =>
        visit(
          t,
          `${service.origin}/docs/`,
          async (page) => {
            await page.locator(".opblock").first().waitFor();
            await examine(page);
            for (const operation of Object.values(operations)) {
              await new Operation(page, operation).open();
            }
            await examine(page);
            for (const operation of [operations.obtainToken, operations.refreshToken]) {
              await new Operation(page, operation).execute();
            }
            for (const collapsed of await page.locator(".response-summary button").all()) {
              await collapsed.click();
            }
            await examine(page);
            for (const tab of await page.getByRole("tab", { name: "Schema" }).all()) {
              await tab.click();
            }
            await page.getByRole("button", { name: "Schemas" }).click();
            await examine(page);
          },
          look,
        ),
      );
      await t.test(`contract, ${colorScheme}, ${width}`, (t) =>
        visit(
          t,
          `${service.origin}/contract/`,
          async (page) => {
            await examine(page);
            assert.deepEqual(await brokenWords(page), []);
          },
          look,
        ),
      );
    });
  }
}

test("a long public URL fits on a phone", async (t) => {
  const service = await serve({ publicUrl: "https://accounts.internal.example.com/authentication" });
  t.after(() => service.stop());
  for (const path of ["docs", "contract"]) {
    const journey = async (page) => {
      await page.getByRole("heading", { name: "Authentication" }).waitFor();
      assert.deepEqual(await layoutFaults(page), []);
    };
    await visit(t, `${service.origin}/${path}/`, journey, { width: PHONE });
  }
});

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
  for (const path of ["contract", "redoc", "redoc/"]) {
    await visit(t, `${proxy.url}/${path}#errors`, async (page) => {
      assert.equal(page.url(), `${proxy.url}/contract/#errors`);
      await followLinks(page);
    });
  }
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
async function visit(t, url, journey, { colorScheme, width = DESKTOP } = {}) {
  const viewport = { width, height: 900 };
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
function promiseOf({ responses }, name) {
  for (const [status, response] of Object.entries(responses)) {
    const answer = json(response).examples[name];
    if (answer) return { status: Number(status), body: answer.value };
  }
  throw new Error(`no response example has the name of the request example ${name}`);
}

function isExpired(token = "") {
  return claimsOf(token)?.exp < Date.now() / 1000;
}

function claimsOf(token) {
  const [, payload] = token.split(".");
  return payload && JSON.parse(Buffer.from(payload, "base64url"));
}

function json({ content }) {
  return content["application/json"];
}

/**
 * Checks that axe-core finds no serious or critical violation, also in the restyled Swagger UI, and
 * that no element overlaps another element or the edge of the screen.
 */
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
  assert.deepEqual(await layoutFaults(page), []);
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
