const words = new Map<unknown, string>([
  ['ENOENT', 'there is no such socket'],
  ['ECONNREFUSED', 'nobody listens there'],
  ['EACCES', 'your user may not open it'],
]);

/** Why a unix socket cannot be connected, where the engine says no more than that a URL may be wrong. */
export function socketProblem(cause: unknown): string {
  if (!(cause instanceof Error)) return String(cause);
  return words.get('code' in cause ? cause.code : null) ?? cause.message;
}
