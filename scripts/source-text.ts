/**
 * TypeScript taken apart into code, strings and comments, for the checks.
 *
 * A word in a comment is not a call, and a path in a string is not an import. TypeScript 7 has no stable programming interface to ask, and
 * the checks need no syntax tree: it is enough to know where comments, strings and regular expressions begin and end. Each view has the
 * length and the line breaks of the original, with blanks for what was taken out, so that offsets and line numbers stay true.
 */

export interface Views {
  /** Without comments. */
  readonly uncommented: string
  /** Without comments and without what stands in strings, templates and regular expressions (the code inside `${}` stays). */
  readonly code: string
  /** Only what stands in comments. */
  readonly comments: string
}

type Kind = 'code' | 'literal' | 'comment'

export function viewsOf(text: string): Views {
  const kinds = kindsOf(text)
  const keep = (...kept: Kind[]): string => {
    let view = ''
    for (let i = 0; i < text.length; i++) {
      view += text[i] === '\n' || kept.includes(kinds[i] as Kind) ? text[i] : ' '
    }
    return view
  }
  return { uncommented: keep('code', 'literal'), code: keep('code'), comments: keep('comment') }
}

/** After these a slash begins a regular expression; after anything else that ends a value it divides. */
const BEFORE_REGEX = /(?:^|[=(,:[!&|?{};+\-*%<>~^]|\b(?:return|typeof|case|in|of|do|else|void|delete|throw|await|yield))$/

/** What each character belongs to. Quotes and slashes count as code, what they enclose as literal. */
function kindsOf(text: string): Kind[] {
  const kinds = new Array<Kind>(text.length).fill('code')
  /** How many braces are open inside each `${` under way. */
  const templates: number[] = []
  let i = 0
  const mark = (end: number, kind: Kind): void => {
    kinds.fill(kind, i, end)
    i = end
  }
  const templateText = (): void => {
    const end = endOfTemplateText(text, i)
    mark(end, 'literal')
    if (text[i] === '$') {
      templates.push(0)
      i += 2
    } else {
      i += 1
    }
  }
  while (i < text.length) {
    const c = text[i]
    if (text.startsWith('//', i) || (i === 0 && text.startsWith('#!'))) {
      mark(endOr(text.indexOf('\n', i), text), 'comment')
    } else if (text.startsWith('/*', i)) {
      mark(endOr(text.indexOf('*/', i + 2), text, 2), 'comment')
    } else if (c === "'" || c === '"') {
      i += 1
      mark(endOfQuoted(text, i, c), 'literal')
      i += 1
    } else if (c === '`') {
      i += 1
      templateText()
    } else if (c === '/' && BEFORE_REGEX.test(lastCodeBefore(text, kinds, i))) {
      i += 1
      mark(endOfRegex(text, i), 'literal')
      i += 1
    } else if (c === '}' && templates.at(-1) === 0) {
      templates.pop()
      i += 1
      templateText()
    } else {
      if ((c === '{' || c === '}') && templates.length > 0) {
        templates[templates.length - 1]! += c === '{' ? 1 : -1
      }
      i += 1
    }
  }
  return kinds
}

function endOr(found: number, text: string, width = 0): number {
  return found < 0 ? text.length : found + width
}

function endOfQuoted(text: string, from: number, quote: string): number {
  let i = from
  while (i < text.length && text[i] !== quote && text[i] !== '\n') {
    i += text[i] === '\\' ? 2 : 1
  }
  return Math.min(i, text.length)
}

/** Where a template's text stops: at its closing backtick or at the `$` of a `${`. */
function endOfTemplateText(text: string, from: number): number {
  let i = from
  while (i < text.length && text[i] !== '`' && !text.startsWith('${', i)) {
    i += text[i] === '\\' ? 2 : 1
  }
  return Math.min(i, text.length)
}

function endOfRegex(text: string, from: number): number {
  let inClass = false
  let i = from
  while (i < text.length && text[i] !== '\n' && (inClass || text[i] !== '/')) {
    if (text[i] === '[' || text[i] === ']') {
      inClass = text[i] === '['
    }
    i += text[i] === '\\' ? 2 : 1
  }
  return Math.min(i, text.length)
}

/** The last few characters of code before `offset`, comments and blanks passed over. */
function lastCodeBefore(text: string, kinds: readonly Kind[], offset: number): string {
  let end = offset - 1
  while (end >= 0 && (kinds[end] === 'comment' || /\s/.test(text[end]!))) {
    end -= 1
  }
  return text.slice(Math.max(0, end - 8), end + 1)
}
