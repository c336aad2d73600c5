/** The commit and the rest of a path `/@<commit>/...`; null for any other path. */
export function pinnedPath(path: string): {commit: string; path: string} | null {
  const [, commit, rest] = /^\/@([0-9a-f]{7,64})(\/.*)?$/.exec(path) ?? [];
  return commit === undefined ? null : {commit, path: rest ?? '/'};
}
