#!/usr/bin/env python3
"""Shows weir's headers and pages to Doxygen: its INPUT_FILTER.

    doxygen_filter.py <file>

Headers: weir's comments are plain ones. Those right before a declaration, and
those behind a member, become Doxygen's, and what means something else to Doxygen
is escaped. Pages: links to what is not among the documents become plain text.
Lines keep their numbers.
"""

import pathlib
import re
import sys

SCOPE = re.compile(r"\b(namespace|class|struct|union|enum)\b")
# "Errors:   what" and the like, under the text of a comment; further lines are indented.
SECTION = re.compile(r" (Cost|Errors|Format|Lifetime|Memory|Ordering|Removal|Shape|Signals|Source|Threads|Units): +(\S.*)")
# Doxygen's alias for it is in Doxyfile.in.
SECTION_AS = r" \weirpar{\1} \2"


def declares(lines):
    """For each line, whether at its beginning it is in the scopes of namespaces, classes and enums alone; None if it is
    in `namespace internal`."""
    out, scopes, text = [], [], ""
    for line in lines:
        out.append(None if "internal" in scopes else all(scopes))
        code = re.sub(r'"(?:\\.|[^"\\])*"|\'(?:\\.|[^\'\\])\'|//.*', "", line)
        if code.lstrip().startswith("#"):
            continue
        for char in code + " ":
            if char == "{":
                head = text
                while (bare := re.sub(r"<[^<>]*>|\([^()]*\)", "", head)) != head:
                    head = bare
                is_scope = SCOPE.search(head) is not None and "=" not in head
                scopes.append("internal" if head.strip() == "namespace internal" else is_scope)
            elif char == "}" and scopes:
                scopes.pop()
            text = "" if char in "{};" else text + char
    return out


def escaped(text):
    """A line of a comment's prose. Doxygen reads what is quoted as it is."""
    parts = re.split(r'(`[^`]*`|"(?:\\.|[^"\\])*")', text)
    for i in range(0, len(parts), 2):
        parts[i] = re.sub(r"([\\@#*~|]|(?<!\w)_|_(?=_)|(?<=_)_)", r"\\\1", parts[i])
        parts[i] = parts[i].replace("<", "&lt;").replace(">", "&gt;")
    return "".join(parts)


def documented(block):
    """The lines of one comment, without their slashes, as Doxygen is to see them."""
    out, in_code, in_section = [], False, False
    for i, line in enumerate(block):
        after = block[i + 1] if i + 1 < len(block) else ""
        if in_code:
            ends = not line.strip() and not re.match(r" {3}", after)
            in_code = not ends
            out.append(" @endcode" if ends else line)
        elif not line.strip() and re.match(r" {3}", after):
            in_code = True
            out.append(" @code{.cc}")
        elif section := SECTION.fullmatch(line):
            in_section = True
            out.append(SECTION_AS.replace(r"\1", section[1]).replace(r"\2", escaped(section[2])))
        else:
            in_section = in_section and line.startswith("   ")
            out.append(" " + escaped(line.strip()))
    if in_code:
        out[-1] += " @endcode"
    return out


def header(text):
    lines = text.split("\n")
    in_scope = declares(lines)
    out = list(lines)
    i = 0
    while i < len(lines):
        line = lines[i]
        if in_scope[i] is None:
            out[i] = "}" if line == "}  // namespace internal" else ""
            i += 1
            continue
        if re.fullmatch(r"inline namespace v0 \{|\}  // namespace v0", line):
            out[i] = ""
        if not line.lstrip().startswith("//"):
            trailing = re.match(r"(.*[;,\w}]) +// (.+)", line)
            if trailing and in_scope[i] and not line.lstrip().startswith(("}", "#")) and '"' not in line:
                out[i] = f"{trailing[1]}  ///< {escaped(trailing[2])}"
            i += 1
            continue
        end = i
        while end < len(lines) and lines[end].lstrip().startswith("//"):
            end += 1
        block = [re.sub(r"^ *//", "", each) for each in lines[i:end]]
        follows = lines[end] if end < len(lines) else ""
        if follows.strip() and in_scope[i]:
            indent = re.match(r" *", line)[0]
            kept = [each if "NOLINT" not in each else "" for each in block]
            out[i:end] = [f"{indent}///{each}".rstrip() for each in documented(kept)]
            if follows.startswith("namespace weir") and i > 0 and not lines[i - 1].strip():
                out[i - 1] = "/// @file"
        i = end
    return "\n".join(out)


def page(path, text):
    root = pathlib.Path.cwd()

    def linked(match):
        target = match[2].split("#")[0]
        if re.match(r"\w+:", target) or not target:
            return match[0]
        resolved = (path.parent / target).resolve()
        if target.endswith(".md") and (root / "docs" in resolved.parents or resolved == root / "README.md"):
            return f"[{match[1]}]({target})"
        return match[1]

    # Not in code.
    parts = re.split(r"(^```.*?^```)", text, flags=re.MULTILINE | re.DOTALL)
    parts[::2] = [re.sub(r"!?\[([^\]]*)\]\(([^)]*)\)", linked, part) for part in parts[::2]]
    return "".join(parts)


def main():
    path = pathlib.Path(sys.argv[1])
    text = path.read_text(encoding="utf-8")
    sys.stdout.write(page(path.resolve(), text) if path.suffix == ".md" else header(text))


if __name__ == "__main__":
    main()
