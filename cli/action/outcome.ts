/** How a step ends. */
export interface Outcome {
  /** The output `state`. */
  readonly state: string;
  /** For the log and the summary. */
  readonly message: string;
  readonly isFailure: boolean;
  readonly warning?: string;
  readonly notice?: string;
}
