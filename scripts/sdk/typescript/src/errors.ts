/** A reply that the contract documents as an error, or one with a status of 400 and above. */
export class ApiError extends Error {
  override readonly name = this.constructor.name;

  constructor(
    readonly status: number,
    /** The contract's own code, else the status as text: what the contract's `Code` lists. */
    readonly code: string,
    /** What the reply says. */
    readonly text: string,
    /** What the document says one should do about it, empty for a code that it does not have. */
    readonly advice: string,
    /** The reply's JSON, opened where it was sealed; undefined where it is none. */
    readonly body: unknown,
    /**
     * After how many seconds to try again (Retry-After), undefined where the reply does not say. The call was not repeated
     * where that is longer than it waits for by itself.
     */
    readonly retryAfter?: number,
  ) {
    super([`${status} ${code}`, text, advice].filter(Boolean).join(': '));
  }
}
