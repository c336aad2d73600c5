/**
 * Matches branch names against globs: `*` and `?` stop at a slash, `**` does not, a leading `!` excludes.
 * The last glob that matches decides; with only excluding globs everything else is included.
 */
export function createBranchFilter(globs: readonly string[]): (branch: string) => boolean {
  const rules = globs.map((glob) => ({
    include: !glob.startsWith('!'),
    pattern: globPattern(glob.replace(/^!/, '')),
  }));
  const byDefault = rules.every((rule) => !rule.include);
  return (branch) => rules.findLast((rule) => rule.pattern.test(branch))?.include ?? byDefault;
}

function globPattern(glob: string): RegExp {
  const source = glob.replace(/\*\*|[*?]|[\\^$.|+()[\]{}]/g, (token) => {
    if (token === '**') return '.*';
    if (token === '*') return '[^/]*';
    if (token === '?') return '[^/]';
    return `\\${token}`;
  });
  return new RegExp(`^${source}$`, 'su');
}
