// Embeds PinVault's hosted PIN page in an element, as high as the page needs. A module; its types are in pinvault.d.ts.
export const version = "1.0.0";

export const mount = (element, url, { onEvent, title = "PIN" } = {}) => {
  const { origin } = new URL(url);
  const frame = document.createElement("iframe");
  const hear = (message) => {
    const event = message.data;
    // Any window can send messages to this one: the page's come from its own window and its own origin.
    if (message.source !== frame.contentWindow || message.origin !== origin || event?.source !== "pinvault") return;
    if (event.type === "resize") frame.style.height = event.height + "px";
    onEvent?.(event);
  };
  addEventListener("message", hear);
  frame.title = title;
  frame.referrerPolicy = "no-referrer";
  Object.assign(frame.style, { display: "block", width: "100%", height: "32rem", border: "0" });
  frame.src = url;
  element.append(frame);
  const unmount = () => {
    removeEventListener("message", hear);
    frame.remove();
  };
  return { frame, unmount };
};
