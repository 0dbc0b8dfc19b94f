// Shows the contracts that the page lists. Nothing is asked of another host: no fonts, no telemetry, no
// agent, no proxy, no link to a hosted client.
"use strict";
{
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
