import { useEffect, useRef } from "react";

// PinPage shows the hosted PIN page. url is the set_pin_url that your server got from the issuing API, and onEvent is
// called with each event: success, failure, expired, cancel and the others of pinvault.d.ts.
export function PinPage({ url, onEvent, title = "Your PIN" }) {
  const place = useRef(null);
  const listener = useRef(onEvent);
  useEffect(() => { listener.current = onEvent; }, [onEvent]);
  useEffect(() => {
    let mounted;
    let gone = false;
    // From the server that the page comes from, so that both are of one version.
    import(/* @vite-ignore */ /* webpackIgnore: true */ new URL("/hosted/v1/pinvault.js", url).href).then(({ mount }) => {
      if (!gone) mounted = mount(place.current, url, { title, onEvent: (event) => listener.current?.(event) });
    });
    return () => {
      gone = true;
      mounted?.unmount();
    };
  }, [url, title]);
  return <div ref={place} />;
}
