/** The first line that a process prints, without its end. Throws where it ends before. */
export async function firstLine(output: ReadableStream<Uint8Array>): Promise<string> {
  const decoder = new TextDecoder();
  let text = '';
  for await (const chunk of output) {
    text += decoder.decode(chunk, {stream: true});
    if (text.includes('\n')) break;
  }
  if (text.includes('\n')) return text.slice(0, text.indexOf('\n'));
  throw new Error(`The program ended before it was ready: ${text}`);
}
