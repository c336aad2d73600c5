/** Exit codes of every command; `docs/cli.md` explains them. */
export const exitCodes = {
  ok: 0,
  /** The command ran and did not succeed. */
  failed: 1,
  /** Unknown command, option or argument, or a configuration that is not valid. */
  usage: 2,
  /** No controller answers. */
  unreachable: 3,
  /** No such branch, container, snapshot, run or repository. */
  notFound: 4,
  /** `status`: at least one branch is not ready. */
  notReady: 5,
} as const;

export type ExitCode = (typeof exitCodes)[keyof typeof exitCodes];
