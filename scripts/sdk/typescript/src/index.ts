/**
 * Clients of PinVault's contracts, a module each: `@pinvault/sdk/thredd` and so on. A module's `connect` gives the
 * client that its operations take.
 */
export { ApiError } from './errors.js';
export { type Format, pinBlock } from './pinblock.js';
export { MessageKey, TokenKey } from './sealing.js';
