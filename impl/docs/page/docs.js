// Shows the contracts that the page lists. Nothing is asked of another host: no fonts, no telemetry, no
// agent, no proxy, no link to a hosted client.
"use strict";
{
  // What Scalar's theme prints too faintly to be read (WCAG 2.2, 1.4.3), lines of code that only a pointer could scroll to
  // their end, and a panel for calls that is as wide as the longest body and has its button off the screen, or its reply below what was sent.
  const customCss = `
    .light-mode { --scalar-color-2: #4b566b; --scalar-color-3: #566178; --scalar-color-accent: #1d4fb8; --scalar-sidebar-color-2: #4b566b;
      --scalar-color-green: #11632f; --scalar-color-blue: #1d4fb8; --scalar-color-orange: #8a4b00; --scalar-color-red: #a01515; --scalar-color-purple: #5b2da8; --scalar-color-yellow: #6b5500; }
    .dark-mode { --scalar-color-2: #c3ccdc; --scalar-color-3: #a9b4c8; --scalar-sidebar-color-2: #c3ccdc; }
    code.custom-scroll { white-space: pre-wrap !important; overflow-wrap: anywhere; overflow: visible !important; }
    .scalar-client main > * { min-width: 0; }
    @media (max-width: 1279px) { .scalar-client section[aria-label="Response"]:has(.animate-response-heading) { order: -1; } }
    .endpoints { max-height: none !important; overflow: visible !important; }`;
  document.getElementById("docs").replaceChildren(); // what was there to read meanwhile
  const { live, contracts } = JSON.parse(document.getElementById("page").textContent);
  Scalar.createApiReference("#docs", contracts.map(({ name, title, authentication }, i) => ({
    title,
    slug: name,
    default: i === 0,
    url: new URL(`docs/${name}.yaml`, document.baseURI).href,
    // HTTP Basic is for asking for a token: a call is made with what that gives.
    authentication: authentication && { securitySchemes: authentication, preferredSecurityScheme: Object.keys(authentication).toSorted((a, b) => (a === "basic") - (b === "basic"))[0] },
    hideTestRequestButton: !live,
    withDefaultFonts: false,
    customCss,
    telemetry: false,
    agent: { disabled: true },
    mcp: { disabled: true },
    showDeveloperTools: "never",
    proxyUrl: "",
    hideClientButton: true,
    persistAuth: false,
    documentDownloadType: "direct",
    // The document's own samples where it has some, and otherwise the call that is made up for curl.
    defaultHttpClient: { targetKey: "custom", clientKey: "shell" },
  })));
}
