// The axios and the fetch client that hey-api generates.

import { client as axiosClient } from "../../generated/hey-api-axios/client.gen";
import { obtainToken, refreshToken } from "../../generated/hey-api-axios/sdk.gen";
import { client as fetchClient } from "../../generated/hey-api-fetch/client.gen";
import { checkOperations, checkUrls } from "./checks.mts";

checkUrls((url) => axiosClient.buildUrl({ url }));
checkUrls((url) => fetchClient.buildUrl({ url }));

axiosClient.setConfig({ baseURL: process.env.AUTH_URL });
await checkOperations({
  async obtain(body) {
    const answer = await obtainToken({ body });
    return answer.error ? { status: answer.response?.status, error: answer.error } : answer;
  },
  async refresh(body) {
    const answer = await refreshToken({ body });
    return answer.error ? { status: answer.response?.status, error: answer.error } : answer;
  },
});
