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
      const schema = operation.requestBody?.content["application/json"].schema;
      if (schema?.$ref === "#/components/schemas/RefreshRequest") {
        const pathMethod = [path, method];
        oas3Actions.setRequestBodyValue({ value: JSON.stringify({ token }, null, 2), pathMethod });
        // Else the example would take its place again when "Try it out" is clicked.
        oas3Actions.setRetainRequestBodyValueFlag({ value: true, pathMethod });
      }
    }
  }
  return response;
}

// What Swagger UI leaves without a name for a screen reader, and its name.
const NAMES = {
  ".body-param__text": "Request body",
  ".copy-to-clipboard > button": "Copy to clipboard",
  ".examples-select-element": "Example",
  "#servers": "Server",
};

function nameControls() {
  for (const [selector, name] of Object.entries(NAMES)) {
    for (const control of page.querySelectorAll(`${selector}:not([aria-label])`)) {
      control.setAttribute("aria-label", name);
    }
  }
}

// The heading of an operation is a button: a link in it could not be reached by keyboard.
const plainHeadings = {
  wrapComponents: {
    DeepLink: (_, { React }) => ({ text }) => React.createElement("span", null, text),
  },
};

// The address of this page comes first among the servers: the page may connect to no other origin, and the public URL may be one.
const ownServerFirst = {
  statePlugins: {
    spec: {
      wrapActions: {
        updateJsonSpec: (update) => (spec) => {
          const own = new URL("..", location).href.replace(/\/$/, "");
          // Swagger UI would list the empty reference as a second server.
          const isOwn = ({ url }) => url === "" || url === own;
          const others = (spec.servers ?? []).filter((server) => !isOwn(server));
          const first = { url: own, description: "The address of this page" };
          return update({ ...spec, servers: [first, ...others] });
        },
      },
    },
  },
};

// Swagger UI has dark colours, but leaves it to the page when to show them.
const dark = matchMedia("(prefers-color-scheme: dark)");
const followColourScheme = () =>
  document.documentElement.classList.toggle("dark-mode", dark.matches);
dark.addEventListener("change", followColourScheme);
followColourScheme();

const page = document.getElementById("swagger-ui");
// Whole, because Swagger UI drops the document's links to other files otherwise.
const documentUrl = new URL(page.dataset.document, location).href;
new MutationObserver(nameControls).observe(page, { childList: true, subtree: true });

const ui = SwaggerUIBundle({
  domNode: page,
  url: documentUrl,
  presets: [SwaggerUIBundle.presets.apis],
  plugins: [plainHeadings, ownServerFirst],
  layout: "BaseLayout",
  deepLinking: true,
  displayRequestDuration: true,
  // The schemas stand with the operations; the list of them all is there to be opened.
  defaultModelsExpandDepth: 0,
  syntaxHighlight: { theme: "tomorrow-night" },
  // The page would ask a validator on the network otherwise.
  validatorUrl: null,
  responseInterceptor: carryToken,
});
