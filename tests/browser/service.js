// Starts the service under test, and a reverse proxy in front of it.

import { spawn } from "node:child_process";
import { once } from "node:events";
import http from "node:http";
import { createInterface } from "node:readline";

/** Starts the service on a free port, with the account of the documentation. */
export async function serve({ publicUrl } = {}) {
  // Ignores the SIGNET_ variables of the environment.
  const others = Object.entries(process.env).filter(([name]) => !name.startsWith("SIGNET_"));
  const child = spawn(process.env.SIGNET, ["serve", "--demo"], {
    env: {
      ...Object.fromEntries(others),
      SIGNET_LISTEN: "127.0.0.1:0",
      SIGNET_THROTTLE: "off",
      SIGNET_PUBLIC_URL: publicUrl,
    },
    stdio: ["ignore", "ignore", "pipe"],
  });
  // If the test does not stop the service, the exit of this process stops it.
  const kill = () => child.kill("SIGKILL");
  process.on("exit", kill);
  const exited = once(child, "exit");

  const origin = await new Promise((resolve, reject) => {
    const log = [];
    createInterface({ input: child.stderr })
      .on("line", (line) => {
        log.push(line);
        if (line.includes('"message":"listening"')) resolve(`http://${JSON.parse(line).address}`);
      })
      .on("close", () => reject(new Error(`the service did not start:\n${log.join("\n")}`)));
  });
  const stop = async () => {
    child.kill("SIGTERM");
    const [code] = await exited;
    process.off("exit", kill);
    if (code !== 0) throw new Error(`the service ended with ${code}`);
  };
  return { origin, stop };
}

/** Returns all operations of the served document by operation ID. */
export async function operationsOf({ origin }) {
  const { paths } = await (await fetch(`${origin}/openapi.json`)).json();
  const operations = {};
  for (const [path, methods] of Object.entries(paths)) {
    for (const [method, operation] of Object.entries(methods)) {
      operations[operation.operationId] = { path, method, ...operation };
    }
  }
  return operations;
}

/**
 * Starts a service behind a proxy, which serves it below `/auth`. This address is the public URL,
 * unless `settings` are given. The proxy responds with 404 to other paths, and adds them to `astray`.
 */
export async function serveBelowPrefix(settings) {
  const prefix = "/auth";
  const astray = [];
  let service;
  const proxy = http.createServer((request, response) => {
    const { method, url, headers } = request;
    if (!url.startsWith(`${prefix}/`)) {
      astray.push(url);
      response.writeHead(404).end();
      return;
    }
    const target = service.origin + url.slice(prefix.length);
    const passed = http.request(target, { method, headers });
    passed.on("response", (answer) => {
      response.writeHead(answer.statusCode, answer.headers);
      answer.pipe(response);
    });
    passed.on("error", (error) => response.destroy(error));
    request.pipe(passed);
  });
  // With `unref`, the process can exit if the service does not start.
  await once(proxy.listen(0, "127.0.0.1").unref(), "listening");
  const url = `http://127.0.0.1:${proxy.address().port}${prefix}`;
  service = await serve(settings ?? { publicUrl: url });

  const stop = async () => {
    proxy.close();
    proxy.closeAllConnections();
    await service.stop();
  };
  return { url, service, astray, stop };
}
