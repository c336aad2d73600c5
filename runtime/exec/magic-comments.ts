export interface MagicComment {
  readonly name: string;
  readonly value: string;
  /** From 1; the column is that of the `@`. */
  readonly line: number;
  readonly column: number;
}

/** The `// @name value` lines above a script's first code, in order. */
export function listMagicComments(text: string): MagicComment[] {
  const comments: MagicComment[] = [];
  let start = 0;
  for (let line = 1; start < text.length; line += 1) {
    const newline = text.indexOf('\n', start);
    const end = newline === -1 ? text.length : newline;
    const row = text.slice(start, end);
    start = end + 1;
    const trimmed = row.trim();
    if (trimmed !== '' && !trimmed.startsWith('//') && !trimmed.startsWith('#!')) break;
    const [, name, value = ''] = /^\/\/\s*@([A-Za-z][A-Za-z0-9-]*)(?:\s+(.*))?$/.exec(trimmed) ?? [];
    if (name !== undefined) comments.push({name, value: value.trim(), line, column: row.indexOf('@') + 1});
  }
  return comments;
}

/** The same as a record; a repeated name keeps its last value. */
export function readMagicComments(text: string): Readonly<Record<string, string>> {
  return Object.fromEntries(listMagicComments(text).map(({name, value}) => [name, value]));
}

/** What stands for a value that opens a door. */
export const redacted = '[REDACTED]';

export function isSecretComment(name: string): boolean {
  return name === 'token' || name === 'ai-key' || name === 'remote-token';
}

/** Comments as they may be shown: what opens a door is hidden. */
export function redactMagicComments(comments: Readonly<Record<string, string>>): Record<string, string> {
  return Object.fromEntries(
    Object.entries(comments).map(([name, value]) => [name, isSecretComment(name) ? redacted : value]),
  );
}
