/** A request that cannot be carried out for the customer's own reasons: told with its HTTP status, never counted as a failure. */
export class Refusal extends Error {
  override readonly name = 'Refusal'
  readonly status: 404 | 409 | 422

  constructor(status: 404 | 409 | 422, message: string) {
    super(message)
    this.status = status
  }
}
