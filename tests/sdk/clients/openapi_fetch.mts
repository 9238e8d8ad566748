// Runs openapi-fetch with the types of openapi-typescript. Prints a line for each check that passes. The compiler checks the types of
// the errors, because all compared values are typed.

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

function rejected<E>(answer: { error?: E; response: Response }, error: E) {
  assert.equal(answer.response.status, 400);
  assert.deepEqual(answer.error, error);
}

const token = accepted((await obtain({ email, password })).data);
console.log("obtain gives a token");

accepted((await refresh({ token })).data);
console.log("refresh gives a token");

// @ts-expect-error The types require every field.
rejected<ObtainError>(await obtain({ email }), { password: ["This field is required."] });
console.log("a missing password gives the typed 400");

// @ts-expect-error The types require every field.
rejected<RefreshError>(await refresh({}), { token: ["This field is required."] });
console.log("a missing token gives the typed 400");

rejected<ObtainError>(await obtain({ email, password: "not the password" }), {
  non_field_errors: ["Unable to log in with provided credentials."],
});
console.log("a wrong password gives the typed 400");

rejected<RefreshError>(await refresh({ token: "not a token" }), {
  non_field_errors: ["Error decoding signature."],
});
console.log("a bad token gives the typed 400");
