// The checks of a generated TypeScript client. Prints a line for each check that passes.

import assert from "node:assert/strict";

export interface Answer<T, E> {
  status: number | undefined;
  data?: T;
  error?: E;
}

interface Token {
  type: string;
  token: string;
  expires_in: number;
}

interface ObtainError {
  password?: string[];
  non_field_errors?: string[];
}

interface RefreshError {
  token?: string[];
  non_field_errors?: string[];
}

export interface Operations {
  obtain(body: { email: string; password: string }): Promise<Answer<Token, ObtainError>>;
  refresh(body: { token: string }): Promise<Answer<Token, RefreshError>>;
}

// A client without configuration, in a page of another path, must request the operations of the page's own host.
export function checkUrls(requestUrl: (path: string) => string) {
  for (const path of ["/v1/auth/jwt/obtain/", "/v1/auth/jwt/refresh/"]) {
    assert.equal(new URL(requestUrl(path), "https://app.example/docs/").href, `https://app.example${path}`);
  }
  console.log("requests go to the host of the page");
}

export async function checkOperations({ obtain, refresh }: Operations) {
  const { AUTH_EMAIL: email = "", AUTH_PASSWORD: password = "" } = process.env;

  const token = accepted(await obtain({ email, password }));
  console.log("obtain gives a token");

  accepted(await refresh({ token }));
  console.log("refresh gives a token");

  // @ts-expect-error The types require every field.
  rejected(await obtain({ email }), { password: ["This field is required."] });
  console.log("a missing password gives the typed 400");

  // @ts-expect-error The types require every field.
  rejected(await refresh({}), { token: ["This field is required."] });
  console.log("a missing token gives the typed 400");

  rejected(await obtain({ email, password: "not the password" }), {
    non_field_errors: ["Unable to log in with provided credentials."],
  });
  console.log("a wrong password gives the typed 400");

  rejected(await refresh({ token: "not a token" }), { non_field_errors: ["Error decoding signature."] });
  console.log("a bad token gives the typed 400");
}

function accepted<E>({ data }: Answer<Token, E>): string {
  assert(data);
  assert.deepEqual([data.type, data.expires_in, data.token.split(".").length], ["JWT", 3600, 3]);
  return data.token;
}

function rejected<T, E>(answer: Answer<T, E>, error: E) {
  assert.equal(answer.status, 400);
  assert.deepEqual(answer.error, error);
}
