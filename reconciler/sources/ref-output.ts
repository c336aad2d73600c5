/** Arguments of the one command that lists all branches, the marks of HEAD and origin's default branch. */
export const listRefsArguments = [
  'for-each-ref',
  '--format=%(objectname)%00%(HEAD)%00%(refname)%00%(symref)',
  '--end-of-options',
] as const;

export interface ListedRefs {
  /** Branch name to commit id. */
  readonly branches: Map<string, string>;
  /** The branch that HEAD points to, when it exists. */
  readonly head: string | null;
  /** The branch that `refs/remotes/origin/HEAD` points to. */
  readonly originHead: string | null;
  /** Refs whose names are not UTF-8; they cannot be served. */
  readonly unnameable: readonly string[];
}

const headsPrefix = 'refs/heads/';
const originPrefix = 'refs/remotes/origin/';

/** Reads the output of `listRefsArguments`. Throws an Error when it is cut short or not of that form. */
export function parseListedRefs(output: Uint8Array): ListedRefs {
  const bytes = Buffer.from(output.buffer, output.byteOffset, output.byteLength);
  const branches = new Map<string, string>();
  const unnameable: string[] = [];
  let head: string | null = null;
  let originHead: string | null = null;

  let start = 0;
  while (start < bytes.length) {
    const end = bytes.indexOf(0x0a, start);
    if (end === -1) throw new Error('the listing of refs is cut short');
    const line = bytes.toString('utf8', start, end);
    // A name that is not UTF-8 does not survive decoding.
    const isText = Buffer.byteLength(line) === end - start && !line.includes('\ufffd');
    start = end + 1;

    const [id, mark, name, target] = line.split('\0');
    if (id === undefined || name === undefined || target === undefined || !isObjectId(id)) {
      throw new Error(`the listing of refs holds an unexpected line: ${JSON.stringify(line.slice(0, 200))}`);
    }
    if (!isText) unnameable.push(name);
    else if (name.startsWith(headsPrefix)) {
      const branch = name.slice(headsPrefix.length);
      branches.set(branch, id);
      if (mark === '*') head = branch;
    } else if (target.startsWith(originPrefix)) originHead = target.slice(originPrefix.length);
  }
  return {branches, head, originHead, unnameable};
}

export function isObjectId(text: string): boolean {
  return /^(?:[0-9a-f]{40}|[0-9a-f]{64})$/.test(text);
}

/**
 * The default branch of a bare repository or a mirror is its HEAD. A HEAD that points nowhere is common where
 * `git init --bare` chose another name than the first push, so `main` and `master` are looked for.
 */
export function defaultBranchOfBare(
  branches: ReadonlyMap<string, string>,
  head: string | null,
): string | null {
  if (head !== null && branches.has(head)) return head;
  return conventional(branches) ?? head;
}

/** In a work tree HEAD says only what somebody works on. */
export function defaultBranchOfWorkTree(
  branches: ReadonlyMap<string, string>,
  {head, originHead}: {head: string | null; originHead: string | null},
): string | null {
  return originHead ?? conventional(branches) ?? head;
}

function conventional(branches: ReadonlyMap<string, string>): string | null {
  return ['main', 'master'].find((name) => branches.has(name)) ?? null;
}
