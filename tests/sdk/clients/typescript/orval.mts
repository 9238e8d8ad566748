// The axios and the fetch client that orval generates.

import { getSignet } from "../../generated/orval/axios";
import { getObtainTokenUrl, getRefreshTokenUrl, obtainToken, refreshToken } from "../../generated/orval/fetch";
import { checkOperations, checkUrls } from "./checks.mts";

const axios = getSignet();
checkUrls((path) => (path.endsWith("/obtain/") ? axios.getObtainTokenUrl() : axios.getRefreshTokenUrl()));
checkUrls((path) => (path.endsWith("/obtain/") ? getObtainTokenUrl() : getRefreshTokenUrl()));

// The generated functions request relative URLs, which only a page can resolve.
const { fetch } = globalThis;
globalThis.fetch = (url, options) => fetch(new URL(url as string, process.env.AUTH_URL), options);

await checkOperations({
  async obtain(body) {
    const { status, data } = await obtainToken(body);
    return status === 200 ? { status, data } : { status, error: data };
  },
  async refresh(body) {
    const { status, data } = await refreshToken(body);
    return status === 200 ? { status, data } : { status, error: data };
  },
});
