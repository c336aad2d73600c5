/** The events of a `text/event-stream` answer, comments left out. Ends with the body. */
export async function* readServerSentEvents({
  body,
}: {
  readonly body: AsyncIterable<Uint8Array> | null;
}): AsyncIterable<{event: string; data: string}> {
  if (body === null) return;
  const decoder = new TextDecoder();
  let text = '';
  for await (const chunk of body) {
    text += decoder.decode(chunk, {stream: true});
    for (let end = text.indexOf('\n\n'); end !== -1; end = text.indexOf('\n\n')) {
      const lines = text.slice(0, end).split('\n');
      text = text.slice(end + 2);
      if (lines.some((line) => line.startsWith('data:')))
        yield {event: fieldOf(lines, 'event'), data: fieldOf(lines, 'data')};
    }
  }
}

function fieldOf(lines: readonly string[], name: string): string {
  return lines
    .filter((line) => line.startsWith(`${name}:`))
    .map((line) => line.slice(name.length + 1).replace(/^ /, ''))
    .join('\n');
}
