// Starts Swagger UI on this service's own document.

// A token that was issued stands ready wherever a token is asked for next.
function carryToken(response) {
  let token;
  try {
    token = JSON.parse(response.text).token;
  } catch {
    return response;
  }
  if (response.status !== 200 || typeof token !== "string") {
    return response;
  }
  const { specSelectors, oas3Actions } = ui.getSystem();
  for (const [path, methods] of Object.entries(specSelectors.specJson().toJS().paths)) {
    for (const [method, operation] of Object.entries(methods)) {
      const schema = operation.requestBody.content["application/json"].schema;
      if (schema.$ref === "#/components/schemas/RefreshRequest") {
        const pathMethod = [path, method];
        oas3Actions.setRequestBodyValue({ value: JSON.stringify({ token }, null, 2), pathMethod });
        // Else the example would take its place again when "Try it out" is clicked.
        oas3Actions.setRetainRequestBodyValueFlag({ value: true, pathMethod });
      }
    }
  }
  return response;
}

const page = document.getElementById("swagger-ui");

const ui = SwaggerUIBundle({
  domNode: page,
  url: page.dataset.document,
  presets: [SwaggerUIBundle.presets.apis],
  layout: "BaseLayout",
  deepLinking: true,
  displayRequestDuration: true,
  // The page would ask a validator on the network otherwise.
  validatorUrl: null,
  responseInterceptor: carryToken,
});
