/** The lines of an answer as they come, without their ends. */
export async function* responseLines(response: Response): AsyncIterable<string> {
  if (response.body === null) return;
  const decoder = new TextDecoder();
  let parts: string[] = [];
  for await (const chunk of response.body) {
    const [first = '', ...lines] = decoder.decode(chunk, {stream: true}).split('\n');
    parts.push(first);
    for (const line of lines) {
      yield parts.join('');
      parts = [line];
    }
  }
}
