export * from "openapi-fetch";
export { default } from "openapi-fetch";
export type * from "./signet.js";
