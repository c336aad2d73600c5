/** No name of a variable begins so. */
const beginsSchedule = /^[ \t]*[0-9*@]/;

/** A `NAME = value` line. A name or value in matching quotes is taken without them; blanks around are dropped. */
export interface Assignment {
  readonly name: string;
  readonly value: string;
}

/**
 * null where the line is no assignment at all but something for the schedule grammar; a string says what is wrong
 * with an assignment.
 */
export function readAssignment(line: string): Assignment | string | null {
  if (beginsSchedule.test(line)) return null;
  const match = /^[ \t]*(?:"([^"]*)"|'([^']*)'|([^ \t=]*))[ \t]*=(.*)$/s.exec(line);
  if (match === null) return null;
  const [, doubleQuoted, singleQuoted, bare = '', rest = ''] = match;
  const name = doubleQuoted ?? singleQuoted ?? bare;
  if (!/^[A-Za-z_][A-Za-z0-9_]*$/.test(name)) {
    return `\`${name.slice(0, 40)}\` is not a variable name; use letters, digits and \`_\`, and begin with a letter.`;
  }
  const value = trimBlanks(rest);
  const quote = value[0];
  if (quote !== '"' && quote !== "'") return {name, value};
  const end = value.indexOf(quote, 1);
  if (end === -1) return `the value of ${name} has no closing ${quote}.`;
  if (end !== value.length - 1)
    return `something follows the closing ${quote} of ${name}; quote the whole value.`;
  return {name, value: value.slice(1, -1)};
}

/** Only blanks and tabs count as space in a crontab. */
function trimBlanks(text: string): string {
  return text.replace(/^[ \t]+/, '').replace(/(?<![ \t])[ \t]+$/, '');
}
