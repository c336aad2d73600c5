/**
 * Sets (or, with null, removes) magic comments of a script's text. A comment that is there keeps its line, new
 * ones go above the others; nothing else of the text changes.
 */
export function editMagicComments(text: string, changes: Readonly<Record<string, string | null>>): string {
  const newline = text.includes('\r\n') ? '\r\n' : '\n';
  const lines = text.split(/\r?\n/);
  const end = headLength(lines);
  const done = new Set<string>();
  const head = lines.slice(0, end).flatMap((line) => {
    const name = /^\s*\/\/\s*@([A-Za-z][A-Za-z0-9-]*)/.exec(line)?.[1];
    const value = name === undefined ? undefined : changes[name];
    if (name === undefined || value === undefined) return [line];
    if (value === null || done.has(name)) return [];
    done.add(name);
    return [commentLine(name, value)];
  });
  const added = Object.entries(changes).flatMap(([name, value]) =>
    value === null || done.has(name) ? [] : [commentLine(name, value)],
  );
  const hashbang = head[0]?.startsWith('#!') ? head.splice(0, 1) : [];
  return [...hashbang, ...added, ...head, ...lines.slice(end)].join(newline);
}

/** Lines up to the first code: comments, blank ones and a hashbang. */
function headLength(lines: readonly string[]): number {
  const code = lines.findIndex((line) => {
    const trimmed = line.trim();
    return trimmed !== '' && !trimmed.startsWith('//') && !trimmed.startsWith('#!');
  });
  return code === -1 ? lines.length : code;
}

function commentLine(name: string, value: string): string {
  return value === '' ? `// @${name}` : `// @${name} ${value}`;
}
