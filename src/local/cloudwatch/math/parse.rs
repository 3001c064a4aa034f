//! Text to expression tree: precedence climbing over a handful of tokens.

/// How deep an expression may nest; also bounds the parser's stack.
const DEPTH_MAX: usize = 40;
/// Characters of an expression. API reference, MetricDataQuery: Expression.
const LENGTH_MAX: usize = 2_048;

#[derive(Clone, Debug, PartialEq)]
pub enum Expression {
    Number(f64),
    Text(String),
    /// Another query's id, or a word such as `REPEAT`.
    Name(String),
    Negate(Box<Expression>),
    Binary(Binary, Box<Expression>, Box<Expression>),
    /// Function names are upper case.
    Call(String, Vec<Expression>),
    /// `[m1, m2]`
    List(Vec<Expression>),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Binary {
    Or,
    And,
    Equal,
    NotEqual,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
    Add,
    Subtract,
    Multiply,
    Divide,
    Power,
}

impl Binary {
    /// Higher binds tighter.
    fn precedence(self) -> u8 {
        match self {
            Binary::Or => 1,
            Binary::And => 2,
            Binary::Equal | Binary::NotEqual => 3,
            Binary::Less | Binary::LessOrEqual | Binary::Greater | Binary::GreaterOrEqual => 4,
            Binary::Add | Binary::Subtract => 5,
            Binary::Multiply | Binary::Divide => 6,
            Binary::Power => 8,
        }
    }
}

/// Unary minus binds tighter than a product and looser than a power.
const NEGATE_PRECEDENCE: u8 = 7;

#[derive(Clone, Debug, PartialEq)]
enum Token {
    Number(f64),
    Text(String),
    Word(String),
    Operator(Binary),
    Symbol(char),
}

/// Parses one expression.
///
/// # Errors
/// What was found where, in words.
pub fn parse(text: &str) -> Result<Expression, String> {
    if text.len() > LENGTH_MAX {
        return Err(format!("the expression has more than {LENGTH_MAX} characters"));
    }
    let mut parser = Parser { tokens: tokenize(text)?, at: 0 };
    let expression = parser.expression(0, 0)?;
    match parser.tokens.get(parser.at) {
        None => Ok(expression),
        Some(token) => Err(format!("unexpected {token:?} after the expression")),
    }
}

fn tokenize(text: &str) -> Result<Vec<Token>, String> {
    let mut tokens = Vec::new();
    let mut rest = text.trim_start();
    while let Some(first) = rest.chars().next() {
        let (token, length) = match first {
            '0'..='9' | '.' => number_token(rest)?,
            'a'..='z' | 'A'..='Z' | '_' => word_token(rest),
            '"' | '\'' => {
                let inner = &rest[1..];
                let end = inner.find(first).ok_or("a quoted text does not end")?;
                (Token::Text(inner[..end].to_owned()), end + 2)
            }
            '(' | ')' | ',' | '[' | ']' => (Token::Symbol(first), 1),
            _ => operator_token(rest).ok_or_else(|| format!("unexpected character {first:?}"))?,
        };
        tokens.push(token);
        rest = rest[length..].trim_start();
    }
    Ok(tokens)
}

fn number_token(rest: &str) -> Result<(Token, usize), String> {
    let digits = |from: usize| {
        rest[from..].find(|c: char| !c.is_ascii_digit() && c != '.').map_or(rest.len(), |end| from + end)
    };
    let mut end = digits(0);
    if rest[end..].starts_with(['e', 'E']) {
        let sign = usize::from(rest[end + 1..].starts_with(['+', '-']));
        if rest[end + 1 + sign..].starts_with(|c: char| c.is_ascii_digit()) {
            end = digits(end + 1 + sign);
        }
    }
    let number = rest[..end].parse().map_err(|_| format!("{:?} is not a number", &rest[..end]))?;
    Ok((Token::Number(number), end))
}

fn word_token(rest: &str) -> (Token, usize) {
    let end = rest.find(|c: char| !c.is_ascii_alphanumeric() && c != '_').unwrap_or(rest.len());
    let token = match &rest[..end] {
        "AND" => Token::Operator(Binary::And),
        "OR" => Token::Operator(Binary::Or),
        word => Token::Word(word.to_owned()),
    };
    (token, end)
}

fn operator_token(rest: &str) -> Option<(Token, usize)> {
    const OPERATORS: [(&str, Binary); 13] = [
        ("&&", Binary::And),
        ("||", Binary::Or),
        ("==", Binary::Equal),
        ("!=", Binary::NotEqual),
        ("<=", Binary::LessOrEqual),
        (">=", Binary::GreaterOrEqual),
        ("<", Binary::Less),
        (">", Binary::Greater),
        ("+", Binary::Add),
        ("-", Binary::Subtract),
        ("*", Binary::Multiply),
        ("/", Binary::Divide),
        ("^", Binary::Power),
    ];
    let (text, operator) = OPERATORS.iter().find(|(text, _)| rest.starts_with(text))?;
    Some((Token::Operator(*operator), text.len()))
}

struct Parser {
    tokens: Vec<Token>,
    at: usize,
}

impl Parser {
    fn next(&mut self) -> Option<Token> {
        let token = self.tokens.get(self.at).cloned();
        self.at += 1;
        token
    }

    fn accept(&mut self, symbol: char) -> bool {
        let found = self.tokens.get(self.at) == Some(&Token::Symbol(symbol));
        self.at += usize::from(found);
        found
    }

    fn expression(&mut self, least: u8, depth: usize) -> Result<Expression, String> {
        if depth > DEPTH_MAX {
            return Err(format!("the expression nests deeper than {DEPTH_MAX}"));
        }
        let mut left = self.operand(depth)?;
        while let Some(Token::Operator(operator)) = self.tokens.get(self.at) {
            let (operator, precedence) = (*operator, operator.precedence());
            if precedence < least {
                break;
            }
            self.at += 1;
            // A power groups from the right, everything else from the left.
            let next = precedence + u8::from(operator != Binary::Power);
            let right = self.expression(next, depth + 1)?;
            left = Expression::Binary(operator, Box::new(left), Box::new(right));
        }
        Ok(left)
    }

    fn operand(&mut self, depth: usize) -> Result<Expression, String> {
        match self.next() {
            Some(Token::Number(number)) => Ok(Expression::Number(number)),
            Some(Token::Text(text)) => Ok(Expression::Text(text)),
            Some(Token::Operator(Binary::Subtract)) => {
                Ok(Expression::Negate(Box::new(self.expression(NEGATE_PRECEDENCE, depth + 1)?)))
            }
            Some(Token::Symbol('(')) => {
                let inner = self.expression(0, depth + 1)?;
                if self.accept(')') { Ok(inner) } else { Err("a parenthesis is not closed".to_owned()) }
            }
            Some(Token::Symbol('[')) => Ok(Expression::List(self.arguments(']', depth)?)),
            Some(Token::Word(word)) if self.accept('(') => {
                Ok(Expression::Call(word.to_ascii_uppercase(), self.arguments(')', depth)?))
            }
            Some(Token::Word(word)) => Ok(Expression::Name(word)),
            Some(token) => Err(format!("unexpected {token:?} where a value is due")),
            None => Err("the expression ends where a value is due".to_owned()),
        }
    }

    fn arguments(&mut self, end: char, depth: usize) -> Result<Vec<Expression>, String> {
        let mut arguments = Vec::new();
        if self.accept(end) {
            return Ok(arguments);
        }
        loop {
            arguments.push(self.expression(0, depth + 1)?);
            if self.accept(end) {
                return Ok(arguments);
            }
            if !self.accept(',') {
                return Err(format!("a ',' or '{end}' is due after argument {}", arguments.len()));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn shown(text: &str) -> String {
        fn show(expression: &Expression) -> String {
            match expression {
                Expression::Number(number) => number.to_string(),
                Expression::Text(text) => format!("{text:?}"),
                Expression::Name(name) => name.clone(),
                Expression::Negate(inner) => format!("(-{})", show(inner)),
                Expression::Binary(operator, a, b) => format!("({} {operator:?} {})", show(a), show(b)),
                Expression::Call(name, list) => {
                    format!("{name}({})", list.iter().map(show).collect::<Vec<_>>().join(" "))
                }
                Expression::List(list) => format!("{:?}", list.iter().map(show).collect::<Vec<_>>()),
            }
        }
        parse(text).map_or_else(|error| format!("error: {error}"), |expression| show(&expression))
    }

    #[test]
    fn precedence_and_grouping() {
        assert_eq!(shown("1+2*3"), "(1 Add (2 Multiply 3))");
        assert_eq!(shown("a-b-c"), "((a Subtract b) Subtract c)");
        assert_eq!(shown("100 * (errors / invocations)"), "(100 Multiply (errors Divide invocations))");
        assert_eq!(shown("-a^2*3"), "((-(a Power 2)) Multiply 3)");
        assert_eq!(shown("2^3^2"), "(2 Power (3 Power 2))");
        assert_eq!(
            shown("IF(i>0 AND e>=1, 100*e/i, 0)"),
            "IF(((i Greater 0) And (e GreaterOrEqual 1)) ((100 Multiply e) Divide i) 0)"
        );
        assert_eq!(shown("fill(m1, REPEAT) + 1.5e3"), "(FILL(m1 REPEAT) Add 1500)");
        assert_eq!(shown("SUM([m1,m2])"), "SUM([\"m1\", \"m2\"])");
        assert_eq!(shown("SUM(METRICS('err'))"), "SUM(METRICS(\"err\"))");
    }

    #[test]
    fn what_is_wrong_is_said() {
        for (text, error) in [
            ("1 +", "ends where"),
            ("(1", "not closed"),
            ("1 2", "after the expression"),
            ("a # b", "character '#'"),
            ("'abc", "does not end"),
            ("1.2.3", "not a number"),
            ("f(1 2)", "is due after argument 1"),
        ] {
            assert!(shown(text).contains(error), "{text}: {}", shown(text));
        }
        assert!(shown(&"(".repeat(500)).contains("deeper"));
    }

    proptest! {
        #[test]
        fn any_text_is_answered_without_a_panic(text in "[-a-c0-9.eE+*/^()<>=!&|,'\\[\\] ]{0,60}") {
            let _ = parse(&text);
        }
    }
}
