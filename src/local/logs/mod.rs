//! Written by someone else now (see NOTE-FROM-THE-LEAD.txt): leave this module out.
