/** Characters that a reader does not see, or that change the order of others. */
const unseen = /[\p{Cc}\p{Bidi_Control}\u200b-\u200d\u2028\u2029\u2060\ufeff]/gu;

/**
 * Text from git as a code span on one line, cut after `most` characters. Inside of one GitHub reads no markup, no
 * mention, no address and no reference to an issue or commit; a backslash keeps it from none of the last three.
 */
export function code(text: string, most = 200): string {
  const line = text
    .replace(/[\r\n\t]+/g, ' ')
    .replace(unseen, '\ufffd')
    .trim();
  const characters = [...line];
  const shown = characters.length > most ? `${characters.slice(0, most - 1).join('')}…` : line;
  const runs = [...shown.matchAll(/`+/g)].map(([run]) => run.length);
  const fence = '`'.repeat(Math.max(0, ...runs) + 1);
  const gap = shown === '' || /^`|`$/.test(shown) ? ' ' : '';
  return `${fence}${gap}${shown}${gap}${fence}`;
}

/** For a place that takes one line without markup; at most `most` UTF-16 units. */
export function plainLine(text: string, most: number): string {
  const line = text
    .replace(/[\r\n\t]+/g, ' ')
    .replace(unseen, '\ufffd')
    .trim();
  return line.length <= most ? line : `${line.slice(0, most - 1).toWellFormed()}…`;
}

/** The first lines that fit, and how many were left out. */
export function linesWithin(lines: readonly string[], mostCharacters: number): string[] {
  let left = mostCharacters;
  const shown = lines.filter((line) => {
    left -= line.length + 1;
    return left >= 0;
  });
  return shown.length === lines.length ? shown : [...shown, `- and ${lines.length - shown.length} more`];
}
