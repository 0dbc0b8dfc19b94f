/** What the page says of itself. No event holds a digit of a PIN or its length. */
export type PinVaultEvent = {
  source: "pinvault";
  /** Absent where nobody knows the link. */
  action?: "set" | "reset" | "change";
  /** The x-request-id with which the link was asked for; absent where nobody knows the link. */
  requestId?: string;
} & (
  | { type: "ready" | "valid" | "success" | "expired" | "cancel" }
  | { type: "failure"; code: "blocked" | "unusable" | "card_status" | "insecure" | "unavailable" }
  | { type: "resize"; height: number }
);

export interface MountOptions {
  /** Called with each event, those included by which the iframe is sized. */
  onEvent?: (event: PinVaultEvent) => void;
  /** The iframe's accessible name: PIN unless given. */
  title?: string;
}

export interface Mounted {
  readonly frame: HTMLIFrameElement;
  /** Takes the iframe away and stops listening. */
  unmount(): void;
}

/** Shows the page of the URL, absolute as the issuing API answers it, at the end of the element. */
export function mount(element: Element, url: string, options?: MountOptions): Mounted;

export const version: string;
