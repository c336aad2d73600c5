/** Serves until it is closed. */
export interface HttpServer {
  /** `http://host:port`, or `https://`, with the port that was bound, or `unix:<path>`. */
  readonly url: string;
  /** Takes no more connections; requests in flight have `graceMs` to end, then their connections are cut. */
  close(options: {graceMs: number}): Promise<void>;
}
