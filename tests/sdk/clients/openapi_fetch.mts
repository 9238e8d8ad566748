// Drives the types of openapi-typescript by openapi-fetch; prints a line per check that holds. That the
// errors are typed is for the compiler to say: it knows the type of everything that is compared here.

import assert from "node:assert/strict";
import createClient from "openapi-fetch";
import type { components, paths } from "./signet.js";

type ObtainError = components["schemas"]["ObtainError"];
type RefreshError = components["schemas"]["RefreshError"];

const { AUTH_URL, AUTH_EMAIL: email = "", AUTH_PASSWORD: password = "" } = process.env;
const client = createClient<paths>({ baseUrl: AUTH_URL });

function obtain(body: components["schemas"]["ObtainRequest"]) {
  return client.POST("/v1/auth/jwt/obtain/", { body });
}

function refresh(body: components["schemas"]["RefreshRequest"]) {
  return client.POST("/v1/auth/jwt/refresh/", { body });
}

function accepted(token: components["schemas"]["Token"] | undefined): string {
  assert(token);
  assert.deepEqual([token.type, token.expires_in, token.token.split(".").length], ["JWT", 3600, 3]);
  return token.token;
}

function refused<E>(answer: { error?: E; response: Response }, error: E) {
  assert.equal(answer.response.status, 400);
  assert.deepEqual(answer.error, error);
}

const token = accepted((await obtain({ email, password })).data);
console.log("obtain gives a token");

accepted((await refresh({ token })).data);
console.log("refresh gives a token");

// @ts-expect-error The types insist on every field.
refused<ObtainError>(await obtain({ email }), { password: ["This field is required."] });
console.log("a missing password gives the typed 400");

// @ts-expect-error Likewise.
refused<RefreshError>(await refresh({}), { token: ["This field is required."] });
console.log("a missing token gives the typed 400");

refused<ObtainError>(await obtain({ email, password: "not the password" }), {
  non_field_errors: ["Unable to log in with provided credentials."],
});
console.log("a wrong password gives the typed 400");

refused<RefreshError>(await refresh({ token: "not a token" }), {
  non_field_errors: ["Error decoding signature."],
});
console.log("a bad token gives the typed 400");
