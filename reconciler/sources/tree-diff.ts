import type {TreeChange} from './source.ts';
import type {EntryKind, TreeEntry} from './tree-object.ts';

/** Entries of a tree by name; `path` says where it stands, for errors. */
export type ReadTree = (id: string, path: string) => Promise<ReadonlyMap<string, TreeEntry>>;

interface Pair {
  /** Empty for the root. */
  readonly path: string;
  readonly from: string | null;
  readonly to: string | null;
}

export interface WalkLimits {
  readonly maxEntries: number;
  readonly maxPathBytes: number;
  /** Throws when a limit is passed; `what` names it. */
  exceeded(what: string): never;
}

/** Trees that are asked for at once. Bounds what a tree that repeats itself can pile up. */
const pairsAtOnce = 256;
const nothing: ReadonlyMap<string, TreeEntry> = new Map();

/**
 * Changes that turn tree `from` into tree `to`: deletes first, then writes, both by path, so that a file may
 * become a directory and the other way round. Equal subtrees are not read. A submodule counts as an empty directory.
 */
export async function diffTrees(
  from: string | null,
  to: string | null,
  {readTree, limits}: {readTree: ReadTree; limits: WalkLimits},
): Promise<TreeChange[]> {
  if (from === to) return [];
  const deletes: TreeChange[] = [];
  const writes: TreeChange[] = [];
  const pending: Pair[] = [{path: '', from, to}];
  let entries = 0;

  function compare(path: string, before: TreeEntry | undefined, after: TreeEntry | undefined): void {
    if (Buffer.byteLength(path) > limits.maxPathBytes)
      limits.exceeded(`a path of more than ${limits.maxPathBytes} bytes`);
    const beforeTree = before?.kind === 'directory' ? before.id : null;
    const afterTree = after?.kind === 'directory' ? after.id : null;
    if (beforeTree !== afterTree) pending.push({path, from: beforeTree, to: afterTree});
    const mode = after === undefined ? null : fileMode(after.kind);
    if (after !== undefined && mode !== null) {
      if (after.id !== before?.id || after.kind !== before.kind)
        writes.push({kind: 'write', path, blob: after.id, mode});
    } else if (before !== undefined && fileMode(before.kind) !== null) deletes.push({kind: 'delete', path});
  }

  while (pending.length > 0) {
    const pairs = pending.splice(-pairsAtOnce);
    const trees = await Promise.all(
      pairs.map(({path, from: before, to: after}) =>
        Promise.all([
          before === null ? nothing : readTree(before, path),
          after === null ? nothing : readTree(after, path),
        ]),
      ),
    );
    for (const [index, {path}] of pairs.entries()) {
      const [before, after] = trees[index] ?? [nothing, nothing];
      entries += before.size + after.size;
      if (entries > limits.maxEntries) limits.exceeded(`more than ${limits.maxEntries} entries`);
      for (const name of new Set([...before.keys(), ...after.keys()])) {
        compare(path === '' ? name : `${path}/${name}`, before.get(name), after.get(name));
      }
    }
  }
  return [...deletes.sort(byPath), ...writes.sort(byPath)];
}

function fileMode(kind: EntryKind): 'file' | 'executable' | 'symlink' | null {
  return kind === 'directory' || kind === 'submodule' ? null : kind;
}

function byPath(a: TreeChange, b: TreeChange): number {
  return a.path < b.path ? -1 : a.path > b.path ? 1 : 0;
}
