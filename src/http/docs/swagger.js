// Starts Swagger UI on the document of this service.

const page = document.getElementById("swagger-ui");
// An absolute URL, because Swagger UI otherwise drops the document's links to other files.
const documentUrl = new URL(page.dataset.document, location).href;
const serviceUrl = new URL("..", location);

// The token of the last login or refresh. The session storage of a tab survives reloads, and is deleted with the tab.
// The key contains the path, because several services can share an origin.
const TOKEN_KEY = `signet.token ${serviceUrl.pathname}`;
let token = storedToken();

// The example of a token to refresh was issued in 2018. The page replaces this example by the token, or by this text.
const NO_TOKEN = requestBody("obtain a token first");
// The path and the method of each operation that refreshes a token.
const refreshForms = [];

function requestBody(token) {
  // The format is the format of Swagger UI, so that the texts are equal.
  return JSON.stringify({ token }, null, 2);
}

function claimsOf(token) {
  const base64 = token.split(".")[1].replaceAll("-", "+").replaceAll("_", "/");
  const bytes = Uint8Array.from(atob(base64), (char) => char.charCodeAt(0));
  return JSON.parse(new TextDecoder().decode(bytes));
}

function isExpired(token) {
  try {
    return claimsOf(token).exp < Date.now() / 1000;
  } catch {
    return false;
  }
}

// Browsers throw if the user has disabled storage.
function storedToken() {
  try {
    const stored = sessionStorage.getItem(TOKEN_KEY);
    return isExpired(stored) ? null : stored;
  } catch {
    return null;
  }
}

function storeToken(issued) {
  token = issued;
  try {
    sessionStorage.setItem(TOKEN_KEY, token);
  } catch {
    // The page then has the token until a reload.
  }
}

// Returns the token in the body of a successful response, or null.
function issuedToken(status, body) {
  try {
    const { token } = JSON.parse(body);
    return status === 200 && typeof token === "string" ? token : null;
  } catch {
    return null;
  }
}

function carryToken(response) {
  const issued = issuedToken(response.status, response.text);
  if (issued) {
    storeToken(issued);
    fillInToken();
  }
  return response;
}

function fillInToken() {
  const { oas3Actions } = ui.getSystem();
  for (const pathMethod of token ? refreshForms : []) {
    oas3Actions.setRequestBodyValue({ value: requestBody(token), pathMethod });
    // Otherwise "Try it out" replaces the token by the example.
    oas3Actions.setRetainRequestBodyValueFlag({ value: true, pathMethod });
  }
}

const tokenInForms = {
  statePlugins: {
    spec: {
      wrapActions: {
        updateJsonSpec: (update) => (spec) => {
          for (const [path, methods] of Object.entries(spec.paths)) {
            for (const [method, operation] of Object.entries(methods)) {
              const content = operation.requestBody?.content["application/json"];
              if (content?.schema.$ref !== "#/components/schemas/RefreshRequest") continue;
              refreshForms.push([path, method]);
              for (const example of Object.values(content.examples)) {
                if (!isExpired(example.value.token)) continue;
                example.summary = "The token of the last login or refresh";
                example.value = JSON.parse(NO_TOKEN);
              }
            }
          }
          return update(spec);
        },
      },
    },
    oas3: {
      wrapActions: {
        // "Reset" and the menu of the examples set the example again.
        setRequestBodyValue: (set) => (action) =>
          set(token && action.value === NO_TOKEN ? { ...action, value: requestBody(token) } : action),
      },
    },
  },
  wrapComponents: {
    RequestBody: (Original, { React }) => (props) => {
      const [, path, method] = props.specPath;
      const isRefresh = refreshForms.some((form) => form[0] === path && form[1] === method);
      const value = props.requestBodyValue ?? NO_TOKEN;
      let note = null;
      if (isRefresh && token && value === requestBody(token)) {
        note = "The token of the last login or refresh is filled in.";
      } else if (isRefresh && value === NO_TOKEN) {
        note = "Obtain a token first. The page then fills in the token here.";
      }
      return React.createElement(
        React.Fragment,
        null,
        isRefresh && React.createElement("p", { className: "token-note", role: "status" }, note),
        React.createElement(Original, props),
      );
    },
  },
};

// Shows the claims of an issued token below the response.
const decodedClaims = {
  wrapComponents: {
    liveResponse: (Original, { React }) => (props) => {
      const issued = issuedToken(props.response.get("status"), props.response.get("text"));
      return React.createElement(
        React.Fragment,
        null,
        React.createElement(Original, props),
        issued && React.createElement(Claims, { React, claims: claimsOf(issued) }),
      );
    },
  },
};

// The claims that are times in Unix seconds.
const TIMES = ["exp", "orig_iat", "iat", "nbf"];

function Claims({ React, claims }) {
  const time = (seconds) => new Date(seconds * 1000).toISOString().replace("T", " ").replace(".000Z", " UTC");
  const rows = Object.entries(claims).map(([name, value]) =>
    React.createElement(
      "tr",
      { key: name },
      React.createElement("th", { scope: "row" }, React.createElement("code", null, name)),
      React.createElement(
        "td",
        null,
        React.createElement("code", null, JSON.stringify(value)),
        TIMES.includes(name) && ` (${time(value)})`,
      ),
    ),
  );
  return React.createElement(
    "section",
    { className: "claims" },
    React.createElement("h4", null, "Claims of the token"),
    React.createElement("table", null, React.createElement("tbody", null, rows)),
  );
}

// Collapses the documented responses that do not depend on the operation, such as 429 and 503.
const collapsedResponses = {
  wrapComponents: {
    response: (Original, { React }) => (props) => {
      const [isOpen, setOpen] = React.useState(false);
      if (!(props.code >= 408)) return React.createElement(Original, props);
      const toggle = React.createElement(
        "button",
        { type: "button", "aria-expanded": isOpen, onClick: () => setOpen(!isOpen) },
        // The description is Markdown, and only has code.
        ...props.response
          .get("description")
          .split("`")
          .map((text, at) => (at % 2 ? React.createElement("code", null, text) : text)),
      );
      const summary = React.createElement(
        "tr",
        { className: "response-summary" },
        React.createElement("td", { className: "response-col_status" }, props.code),
        React.createElement("td", { className: "response-col_description" }, toggle),
      );
      return React.createElement(
        React.Fragment,
        null,
        summary,
        isOpen && React.createElement(Original, props),
      );
    },
  },
};

// Names for screen readers, for the controls that Swagger UI leaves without a name.
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

// The heading of an operation is a button, and the keyboard cannot reach a link in a button.
const plainHeadings = {
  wrapComponents: {
    DeepLink: (_, { React }) => ({ text }) => React.createElement("span", null, text),
  },
};

// The address of this page is the first server, because the page may not connect to another origin, such as the public URL.
const ownServerFirst = {
  statePlugins: {
    spec: {
      wrapActions: {
        updateJsonSpec: (update) => (spec) => {
          const own = serviceUrl.href.replace(/\/$/, "");
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

new MutationObserver(nameControls).observe(page, { childList: true, subtree: true });

const ui = SwaggerUIBundle({
  domNode: page,
  url: documentUrl,
  presets: [SwaggerUIBundle.presets.apis],
  plugins: [plainHeadings, ownServerFirst, tokenInForms, decodedClaims, collapsedResponses],
  layout: "BaseLayout",
  deepLinking: true,
  displayRequestDuration: true,
  // Each operation shows its schemas. The list of all schemas is collapsed.
  defaultModelsExpandDepth: 0,
  syntaxHighlight: { theme: "tomorrow-night" },
  // Otherwise the page asks a validator on the network.
  validatorUrl: null,
  responseInterceptor: carryToken,
  onComplete: fillInToken,
});
