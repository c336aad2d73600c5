import type {ListedScript, ScriptNode} from '../../schemas/exec-scripts.ts';

/** Paths as a tree: directories first, both in order of their names. Deeper than `maxDepth` is left out. */
export function scriptTree(
  paths: readonly string[],
  {
    baseDir,
    maxDepth,
    details,
  }: {baseDir: string; maxDepth: number; details: ReadonlyMap<string, ListedScript>},
): readonly ScriptNode[] {
  const base = baseDir.replace(/\/+$/, '');
  const prefix = base === '' ? '' : `${base}/`;
  const names = Map.groupBy(paths, (path) => path.slice(prefix.length).split('/', 1)[0] ?? '');
  const nodes = [...names].map(([name, below]): ScriptNode => {
    const path = `${prefix}${name}`;
    const isFile = below.length === 1 && below[0] === path;
    if (isFile) {
      const found = details.get(path);
      return {name, path, type: 'file', ...(found === undefined ? {} : {metadata: found})};
    }
    const children = maxDepth <= 1 ? [] : scriptTree(below, {baseDir: path, maxDepth: maxDepth - 1, details});
    return {name, path, type: 'directory', children: [...children]};
  });
  return nodes.toSorted(byKindAndName);
}

function byKindAndName(a: ScriptNode, b: ScriptNode): number {
  if (a.type !== b.type) return a.type === 'directory' ? -1 : 1;
  return a.name < b.name ? -1 : 1;
}
